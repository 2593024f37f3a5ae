"""What counts as an answer of S3, and what is that of a web page, a load balancer or a broken connection."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import HTTPClientError

from atb.errors import NotFound, StoreError, StoreSetting
from atb.storage import Store
from atb.storage.s3 import failures
from atb.storage.s3.answers import etag_of, etag_of_read
from atb.storage.s3.errors import explain
from tests.s3_proxy import FaultProxy, xml_error

HTML = {"Content-Type": "text/html"}
PAGE = {"status": 200, "headers": HTML, "body": b"<html>hello</html>"}
TEXT = {"Content-Type": "text/plain; charset=utf-8"}
XML = {"Content-Type": "application/xml"}


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """Large enough to be written in parts."""
    path = tmp_path / "large"
    path.write_bytes(b"0123456789abcdef" * (9 << 16))
    return path


@pytest.mark.parametrize(
    "fault",
    [
        PAGE,
        {"status": 400, "headers": TEXT, "body": b"Client sent an HTTP request to an HTTPS server."},
        {"status": 404, "headers": TEXT, "body": b"404 page not found"},
        {"status": 404, "headers": {"Content-Type": "application/json"}, "body": b'{"message": "no Route matched"}'},
        {"status": 418, "headers": TEXT, "body": b"no"},
    ],
)
def test_what_is_not_s3_is_a_setting_for_every_call(
    store: Store, proxy: FaultProxy, tmp_path: Path, large: Path, fault: dict[str, Any]
) -> None:
    proxy.add("status", times=1000, **fault)
    brief = store.within(0)
    calls: tuple[Callable[[], object], ...] = (
        lambda: brief.get("there"),
        lambda: brief.get_file("there", tmp_path / "there"),
        lambda: list(brief.list("")),
        lambda: brief.put("new", b"1"),
        lambda: brief.put_if_absent("new", b"1"),
        lambda: brief.put_file("new", large),
        lambda: brief.delete("there"),
    )
    for call in calls:
        with pytest.raises(StoreSetting, match="what answers is not S3"):
            call()
    proxy.faults.clear()
    assert [entry.key for entry in store.list("")] == ["there"]


def test_a_load_balancer_that_answers_for_a_moment_is_waited_out(store: Store, proxy: FaultProxy) -> None:
    proxy.add("status", "GET", "there", times=2, status=404, headers=TEXT, body=b"default backend - 404")
    assert store.get("there") == b"before"


@pytest.mark.parametrize(
    "inner",
    [
        "<IsTruncated>true</IsTruncated>",
        "<IsTruncated>false</IsTruncated><Contents><Key>a</Key></Contents>",
        "<IsTruncated>true</IsTruncated><NextContinuationToken>same</NextContinuationToken>",
    ],
)
def test_a_listing_that_lacks_something_or_never_ends_is_none(store: Store, proxy: FaultProxy, inner: str) -> None:
    body = f"<?xml version='1.0'?><ListBucketResult><Name>b</Name>{inner}</ListBucketResult>".encode()
    proxy.add("status", "GET", "list-type", times=1000, status=200, headers=XML, body=body)
    for read in (lambda: store.within(0).list(""), lambda: store.within(0).folders("")):
        with pytest.raises(StoreSetting, match="not S3"):
            list(read())


def test_a_redirect_is_one_line_wherever_it_leads(store: Store, proxy: FaultProxy) -> None:
    for location in ("http://[::1", "/login", "", "https://me:hidden@sso.example/login?token=hidden", "//x:y"):
        proxy.add("status", status=300, headers={"Location": location})
        with pytest.raises(StoreSetting, match=r"redirects \(300\) to .*; give the address of the S3 API") as refused:
            store.put("new", b"1")
        assert "hidden" not in str(refused.value)


def test_a_page_that_urllib3_would_go_to_is_a_redirect_too() -> None:
    # a real 303 leaves urllib3 with an open socket, which is a warning here
    known = explain(HTTPClientError(error=TypeError("sequence item 0: expected str instance")), "s3://b/x", "b", "new")
    assert isinstance(known, StoreSetting)
    assert "redirects (303) to another page; give the address of the S3 API" in str(known)


def test_a_file_too_large_for_what_stands_in_front_of_the_store_says_so(
    store: Store, proxy: FaultProxy, large: Path
) -> None:
    for body, headers in ((b"<html>413</html>", HTML), (xml_error("EntityTooLarge"), XML), (b"", {})):
        proxy.add("status", "PUT", status=413, body=body, headers=headers)
        with pytest.raises(StoreSetting, match=r"new \((413|EntityTooLarge)\): it is too large .* raise that limit"):
            store.put_file("new", large)


@pytest.mark.parametrize("code", ["KMS.DisabledException", "InvalidArgument", "InvalidStorageClass"])
def test_what_the_bucket_does_not_take_is_a_setting(store: Store, proxy: FaultProxy, code: str) -> None:
    proxy.add("status", "PUT", status=400, body=xml_error(code), headers=XML)
    with pytest.raises(StoreSetting, match=rf"refused new \({code}\): look at the bucket's settings"):
        store.put("new", b"1")


def test_a_code_of_any_length_or_kind_is_not_printed(store: Store, proxy: FaultProxy) -> None:
    for code in ("x" * 10_000, "a\x1b[2J", "secret=hidden"):
        proxy.add("status", "PUT", status=403, body=xml_error(code), headers=XML)
        with pytest.raises(StoreError) as refused:
            store.put("new", b"1")
        assert len(str(refused.value)) < 300
        assert "(403)" in str(refused.value)


def test_an_object_that_is_gone_is_deleted(store: Store, proxy: FaultProxy) -> None:
    proxy.add("status", "DELETE", status=404, body=xml_error("NoSuchKey"), headers=XML)
    store.delete("nothing")


def test_an_upload_whose_parts_were_lost_begins_anew(store: Store, proxy: FaultProxy, large: Path) -> None:
    proxy.add("status", "PUT", "partNumber=2", status=404, body=xml_error("NoSuchUpload"), headers=XML)
    store.put_file("new", large)
    assert store.get("new") == large.read_bytes()


@pytest.mark.parametrize("there", [True, False])
def test_an_upload_whose_end_something_else_answered_is_written_again(
    store: Store, proxy: FaultProxy, large: Path, there: bool
) -> None:
    if there:
        store.put_file("new", large)
        large.write_bytes(large.read_bytes()[::-1])
    proxy.add("status", "POST", "uploadId", **PAGE)
    etag = store.put_file("new", large)
    assert store.get_with_etag("new") == (large.read_bytes(), etag)


def test_a_write_whose_answer_was_a_page_is_ones_own(store: Store, proxy: FaultProxy) -> None:
    proxy.add("lost", "PUT", "claim")
    proxy.add("status", "PUT", "claim", **PAGE)
    store.put_if_absent("claim", b"mine")
    assert store.get("claim") == b"mine"


def test_a_weak_etag_is_that_of_a_listing_and_none_is_no_answer() -> None:
    assert etag_of({"ETag": 'W/"0f"'}, "s3://b") == '"0f"'
    for answer in ({}, {"ETag": ""}):
        with pytest.raises(failures.NotS3):
            etag_of(answer, "s3://b")


def test_an_answer_that_ends_within_its_headers_is_broken() -> None:
    def read(metadata: dict[str, str], headers: dict[str, str]) -> str:
        answer = {"ETag": "0f", "Metadata": metadata, "ResponseMetadata": {"HTTPHeaders": headers}}
        return etag_of_read(answer, "a", "s3://b")

    assert read({}, {"content-length": "5"}) == "0f"
    assert read({}, {"transfer-encoding": "chunked"}) == "0f"
    assert read({"Sha256": "0f"}, {}) == "0f"  # by which the content is compared
    with pytest.raises(failures.Unclear, match="broke off"):
        read({}, {"etag": "0f"})


def test_an_absent_object_needs_no_words(store: Store, proxy: FaultProxy) -> None:
    proxy.add("status", "GET", "nothing", times=2, status=404)
    with pytest.raises(NotFound):
        store.get("nothing")
