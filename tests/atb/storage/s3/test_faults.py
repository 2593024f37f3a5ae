"""A real S3 server behind a proxy that loses answers, cuts bodies and goes away."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from atb.documents.attempt import Progress
from atb.errors import Denied, NotFound, PreconditionFailed, SpecError, StoreError, StoreSetting, Unreadable
from atb.patience import INTERRUPT, LAST_SECONDS
from atb.storage import Store, open_store
from atb.storage.probe import probe_store
from atb.storage.s3 import S3Store
from atb.storage.s3.client import hurry
from atb.storage.s3.links import BRIEF_SECONDS, SILENCE_SECONDS
from launcher.upkeep.check import check_store
from launcher.upkeep.repair import repair_store
from tests.s3_proxy import FaultProxy, xml_error

LONG_AGO = {"Date": "Thu, 01 Jan 2026 00:00:00 GMT"}
HTML = {"Content-Type": "text/html"}


@pytest.mark.parametrize("times", [1, 2])
def test_a_conditional_write_whose_answer_was_lost_is_ones_own(store: Store, proxy: FaultProxy, times: int) -> None:
    proxy.add("lost", "PUT", "claim", times=times)
    etag = store.put_if_absent("claim", b"mine")
    assert store.get_with_etag("claim") == (b"mine", etag)
    proxy.add("lost", "PUT", "claim", times=times)
    newer = store.put_if_match("claim", b"mine, renewed", etag)
    assert store.get_with_etag("claim") == (b"mine, renewed", newer)


@pytest.mark.parametrize(("method", "fault"), [("PUT", "lost"), ("GET", "reset")])
def test_it_is_also_when_reading_it_back_fails_at_first(
    store: Store, proxy: FaultProxy, method: str, fault: str
) -> None:
    proxy.add("lost", "PUT", "claim", times=2)
    proxy.add(fault, method, "claim", times=2)
    store.put_if_absent("claim", b"mine")
    assert store.get("claim") == b"mine"


def test_another_writers_object_is_never_taken_for_ones_own(store: Store, proxy: FaultProxy) -> None:
    proxy.add("reset", "PUT", "there")
    with pytest.raises(PreconditionFailed):
        store.put_if_absent("there", b"mine")
    etag = store.get_with_etag("there")[1]
    store.put("there", b"theirs")
    proxy.add("reset", "PUT", "there")
    with pytest.raises(PreconditionFailed):
        store.put_if_match("there", b"mine", etag)
    assert store.get("there") == b"theirs"


def test_the_same_words_of_another_writer_are_another_write(store: Store) -> None:
    store.put_if_absent("claim", b"same")
    with pytest.raises(PreconditionFailed):  # nothing of ours was lost
        store.put_if_absent("claim", b"same")


@pytest.mark.parametrize("kind", ["cut", "altered", "reset", "lost"])
def test_a_broken_body_is_read_again(store: Store, proxy: FaultProxy, kind: str) -> None:
    proxy.add(kind, "GET", "there")
    assert store.get("there") == b"before"


@pytest.mark.parametrize("kind", ["cut", "reset", "lost"])
def test_a_broken_listing_is_retried(store: Store, proxy: FaultProxy, kind: str) -> None:
    proxy.add(kind, "GET", "list-type")
    assert [entry.key for entry in store.list("")] == ["there"]


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429])
def test_a_transient_failure_is_retried(store: Store, proxy: FaultProxy, status: int) -> None:
    proxy.add("status", pattern="there", status=status, body=xml_error("SlowDown"), times=2)
    assert store.get("there") == b"before"


def test_an_outage_is_waited_out_and_reported(store: Store, proxy: FaultProxy) -> None:
    messages: list[str] = []
    store.on_wait = messages.append
    with proxy.outage(4.0):
        store.put("after", b"1")
    assert "retrying for up to 10 min" in messages[0]
    assert "prefix answers again after" in messages[-1]


def test_what_can_be_left_out_does_not_wait(store: Store, proxy: FaultProxy) -> None:
    proxy.away = True
    waits: list[str] = []
    brief = store.within(0)
    brief.on_wait = waits.append
    with pytest.raises(StoreError):
        brief.put("progress", b"1")
    assert waits == []


def test_a_longer_bound_inside_a_shorter_one_prolongs_nothing(store: Store, proxy: FaultProxy) -> None:
    proxy.away = True
    waits: list[str] = []
    brief = store.within(0).within(60)
    brief.on_wait = waits.append
    with pytest.raises(StoreError):
        brief.put("progress", b"1")
    assert waits == []


def test_a_silent_connection_holds_up_no_write_that_can_be_left_out(
    s3_url: str, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(INTERRUPT, "count", 0)  # other tests may have sent signals
    store = S3Store(
        s3_url,
        proxy.url,
        hurry=lambda session, client, endpoint, silence: hurry(session, client, endpoint, silence / 20),
    )
    store.put("progress", b"1")
    began = time.monotonic()
    proxy.add("stall", "PUT", seconds=40)
    with pytest.raises(StoreError, match="no answer in time"):
        store.within(0).put("progress", b"2")
    assert time.monotonic() - began < 30
    assert (silence(store), silence(store.within(1).within(9))) == (SILENCE_SECONDS, BRIEF_SECONDS)
    INTERRUPT.stop()
    assert silence(store) == LAST_SECONDS


def silence(store: S3Store) -> float:
    """How long it waits for a server that says nothing."""
    assert store._link.lean is not None
    return store._link.lean._silence


def test_a_login_that_is_renewed_is_so_for_all_copies(store: Store, proxy: FaultProxy) -> None:
    assert isinstance(store, S3Store)
    brief = store.within(1)
    used = brief._link
    proxy.add("status", "PUT", status=403, body=xml_error("ExpiredToken"))
    brief.put("there", b"after")
    assert store.within(0)._link is brief._link is not used


def test_an_object_that_stays_damaged_is_named(store: Store, proxy: FaultProxy) -> None:
    proxy.add("altered", "GET", "there", times=100)
    with pytest.raises(Unreadable, match=r"there .* is damaged") as caught:
        store.within(1).get("there")
    assert caught.value.key == "there"


def test_a_damaged_document_is_found_by_a_check_and_moved_aside(store: Store, proxy: FaultProxy) -> None:
    key = "runs/r1/progress/BTCUSDT-fast.json"
    store.put(key, Progress(attempt=1, stage="saving", updated=datetime(2026, 1, 31, tzinfo=UTC)).to_bytes())
    proxy.add("altered", "GET", f"{key}$", times=1_000)
    (found,) = check_store(store.within(1))
    assert (found.key, found.what) == (key, "unreadable")
    (mended,) = repair_store(store.within(1), [found])
    assert mended.repaired.startswith(f"moved to quarantine/{key}")
    assert key not in {entry.key for entry in store.list("runs/")}


@pytest.mark.parametrize(("status", "code"), [(403, "InvalidObjectState"), (400, "KMS.DisabledException")])
def test_an_object_in_an_archive_or_without_its_key_is_named_and_never_moved(
    store: Store, proxy: FaultProxy, status: int, code: str
) -> None:
    key = "runs/r1/progress/BTCUSDT-fast.json"
    store.put(key, b"{}")
    proxy.add("status", "GET", f"{key}$", times=1_000, status=status, body=xml_error(code))
    with pytest.raises(Denied, match=rf"^{key} in .* can't be read \({code}\)"):
        store.get(key)
    (found,) = check_store(store)
    assert (found.key, found.what) == (key, "denied")
    assert [each.repaired for each in repair_store(store, [found])] == [""]


def test_objects_whose_names_no_store_of_ours_has_are_passed_over(store: Store, proxy: FaultProxy) -> None:
    prefix = store.url.removeprefix("s3://").split("/", 1)[1]
    names = ("models/", "models//1h/fast/current.json", "models/BTCUSDT/1h/", "models/BTCUSDT/1h/fast/current.json")
    contents = "".join(
        f"<Contents><Key>{prefix}/{name}</Key><Size>0</Size><ETag>&quot;e&quot;</ETag>"
        "<LastModified>2026-01-31T06:00:00.000Z</LastModified></Contents>"
        for name in names
    )
    folders = "".join(
        f"<CommonPrefixes><Prefix>{prefix}/models/{name}/</Prefix></CommonPrefixes>" for name in ("", "B")
    )
    body = f"<ListBucketResult><Name>b</Name><IsTruncated>false</IsTruncated>{contents}{folders}</ListBucketResult>"
    proxy.add("status", "GET", "list-type=2", times=2, status=200, body=body.encode())
    assert [entry.key for entry in store.list("models/")] == ["models/BTCUSDT/1h/fast/current.json"]
    assert list(store.folders("models/")) == ["B"]
    for key in ("models//x", "models/"):
        with pytest.raises(SpecError, match="is not a key"):
            store.get(key)


def test_a_stop_signal_ends_a_wait_in_any_thread_at_once(store: Store, proxy: FaultProxy) -> None:
    proxy.away = True
    failed: list[Exception] = []

    def read() -> None:
        try:
            store.get("there")
        except StoreError as error:
            failed.append(error)

    before, thread = INTERRUPT.count, threading.Thread(target=read)
    try:
        thread.start()
        time.sleep(1.0)
        INTERRUPT.stop()
        thread.join(30)
        assert not thread.is_alive()
        assert len(failed) == 1
    finally:
        INTERRUPT.count = before


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"status": 403, "body": xml_error("ExpiredToken")}, "the session has expired"),
        ({"status": 400, "body": xml_error("ExpiredToken")}, "the session has expired"),
        ({"status": 403, "body": xml_error("InvalidAccessKeyId")}, "AWS_ACCESS_KEY_ID"),
        ({"status": 403, "body": xml_error("SignatureDoesNotMatch")}, "AWS_SECRET_ACCESS_KEY"),
        ({"status": 403, "body": xml_error("AccessDenied")}, "policy"),
        ({"status": 403, "body": xml_error("RequestTimeTooSkewed"), "headers": LONG_AGO}, r"[\d,]+ s ahead; set it"),
        ({"status": 400, "body": xml_error("AuthorizationHeaderMalformed")}, "AWS_REGION"),
        ({"status": 301, "body": xml_error("PermanentRedirect")}, "AWS_REGION"),
        ({"status": 302, "headers": {"Location": "https://sso.example/login?token=hidden"}}, "to https://sso.example;"),
        ({"status": 404, "body": b"<html>no</html>", "headers": HTML}, "not S3"),
        ({"status": 200, "body": b"<html>hello", "headers": HTML}, "not S3"),
        ({"status": 405, "body": b""}, "not S3"),
        ({"status": 507, "body": xml_error("XMinioStorageFull")}, "is full"),
        ({"status": 403, "body": xml_error("QuotaExceeded")}, "is full"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["put", "list"])
def test_what_only_a_setting_mends_is_one_line_and_ends_as_one(
    s3_url: str, proxy: FaultProxy, method: str, fault: dict[str, Any], words: str
) -> None:
    store = open_store(s3_url, proxy.url).within(0.5)
    proxy.add("status", times=1000, **fault)
    with pytest.raises(StoreSetting, match=words) as refused:
        store.put("a", b"1") if method == "put" else list(store.list("a"))
    assert refused.value.exit_code == 2
    assert "\n" not in str(refused.value)
    assert "hidden" not in str(refused.value)


def test_a_session_that_was_renewed_meanwhile_is_used(store: Store, proxy: FaultProxy) -> None:
    proxy.add("status", "GET", status=403, body=xml_error("ExpiredToken"))
    assert store.get("there") == b"before"


def test_a_store_that_rejects_conditions_is_used_without_and_reported(s3_url: str, proxy: FaultProxy) -> None:
    store = open_store(s3_url, proxy.url)

    def reject() -> None:
        proxy.add("status", "PUT", "", status=501, body=xml_error("NotImplemented"))

    reject()
    etag = store.put_if_absent("plan", b"1")
    reject()
    with pytest.raises(PreconditionFailed):
        store.put_if_absent("plan", b"2")
    reject()
    store.put_if_match("plan", b"3", etag)
    reject()
    with pytest.raises(PreconditionFailed):
        store.put_if_match("plan", b"4", etag)
    assert store.get("plan") == b"3"
    reject()
    assert not probe_store(store).conditional


@pytest.mark.parametrize("secret", ["abc\ndef", "abc\r\nX-Other: def", "tökén\n"])
def test_nothing_of_a_credential_is_printed(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch, secret: str) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", secret)
    with pytest.raises(StoreSetting, match="the session token of the credentials holds a space, a line") as refused:
        open_store("s3://atb-tests/x", s3_endpoint)
    assert not any(part in str(refused.value) for part in ("abc", "def", "kén"))


def test_invalid_settings_are_refused_when_the_store_is_opened(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    for endpoint in ("localhost:9000", "//host", "http://", "ftp://host", "http://host:port", "http://[::1"):
        with pytest.raises(SpecError, match="http://HOST:PORT"):
            open_store("s3://bucket/x", endpoint)
    for url, endpoint in (("s3://bucket/x", "http://me:hidden@host:9000"), ("s3://me:hidden@bucket/x", "")):
        with pytest.raises(SpecError, match="user or a password") as refused:
            open_store(url, endpoint or None)
        assert "hidden" not in str(refused.value)
    monkeypatch.setenv("AWS_PROFILE", "no-such")
    with pytest.raises(StoreSetting, match="no such profile"):
        open_store("s3://bucket/x")
    monkeypatch.delenv("AWS_PROFILE")
    broken = f"{tmp_path}/config"
    with open(broken, "w") as file:
        file.write("[default\nregion = x")
    monkeypatch.setenv("AWS_CONFIG_FILE", broken)
    with pytest.raises(StoreSetting, match="configuration file can't be read"):
        open_store("s3://bucket/x")


def test_a_store_that_never_answered_is_given_up_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    with pytest.raises(StoreError, match=r"no connection; look with: atb doctor; retried for \d s"):
        S3Store("s3://bucket/x", "http://127.0.0.1:9", first_seconds=2.5).get("a")


def test_an_absent_key_is_no_outage(store: Store) -> None:
    with pytest.raises(NotFound):
        store.get("nothing")


def test_an_absent_object_takes_one_request(store: Store, proxy: FaultProxy) -> None:
    proxy.seen.clear()
    with pytest.raises(NotFound, match="no object nowhere in s3://"):
        store.get("nowhere")
    assert len(proxy.seen) == 1


def test_a_missing_bucket_is_no_missing_object(store: Store, proxy: FaultProxy) -> None:
    proxy.add("status", "GET", "there", times=9, status=404, body=xml_error("NoSuchBucket"))
    with pytest.raises(StoreSetting, match="there is no bucket"):
        store.get("there")
