"""Asking an exchange over HTTP."""

from __future__ import annotations

import gzip
import hashlib
import io
import threading
import time
import zipfile
from email.utils import formatdate

import pytest

from atb.contract import timeframe as tf
from atb.errors import DataError, NetworkError, SpecError
from atb.patience import INTERRUPT
from tests.exchange import Exchange, Fault
from tests.trainer.bars.conftest import NOW, Slept
from trainer.bars.exchange import archive
from trainer.bars.exchange.http import MOST_BYTES, PATIENCE_SECONDS, Http

PATH = "/api/v3/klines?symbol=BTCUSDT&interval=1h&startTime=0&limit=1"


def test_an_answer_carries_the_hosts_own_time(http: Http, exchange: Exchange) -> None:
    assert http.get(f"{exchange.url}{PATH}").host_ms == tf.epoch_ms(NOW)
    assert http.get(f"{exchange.url}/nothing").status == 404


def test_a_wait_given_as_a_date_is_waited_for(http: Http, exchange: Exchange, slept: Slept) -> None:
    header = formatdate(time.time() + 30, usegmt=True)
    exchange.faults.append(Fault("klines", status=429, headers={"Retry-After": header}))
    assert http.get(f"{exchange.url}{PATH}").status == 200
    assert 28 <= sum(slept) <= 30


def test_a_ban_without_a_time_is_two_minutes(http: Http, exchange: Exchange, slept: Slept) -> None:
    exchange.faults.append(Fault("klines", status=418))
    http.get(f"{exchange.url}{PATH}")
    assert sum(slept) == 120


def test_a_wait_holds_back_every_request_to_that_host_and_to_no_other(
    http: Http, exchange: Exchange, slept: Slept
) -> None:
    exchange.faults.append(Fault("first", status=429, headers={"Retry-After": "50"}, times=99))
    with pytest.raises(NetworkError):
        http.get(f"{exchange.url}/first")
    slept.clear()
    http.get(exchange.url.replace("127.0.0.1", "localhost") + PATH)
    assert sum(slept) == 0
    exchange.requests.clear()
    http.get(f"{exchange.url}{PATH}")
    assert len(exchange.requests) == 1
    assert sum(slept) >= 50


def test_an_answer_without_an_end_is_not_read_to_it(http: Http, exchange: Exchange) -> None:
    body = bytes(MOST_BYTES + 1)
    for packed, headers in ((body, {}), (gzip.compress(body, 1), {"Content-Encoding": "gzip"})):
        exchange.faults.append(Fault("klines", status=200, headers=headers, body=packed))
        with pytest.raises(DataError, match=r"127.0.0.1:\d+ answered /api/v3/klines with more than 64 MiB"):
            http.get(f"{exchange.url}{PATH}")
    assert http.get(f"{exchange.url}{PATH}").status == 200


def test_a_month_that_unpacks_to_more_than_any_does_is_not_used(
    http: Http, exchange: Exchange, caplog: pytest.LogCaptureFixture
) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as month:
        month.writestr("BTCUSDT-1h-2025-01.csv", bytes(archive.MOST_BYTES + 1))
    packed = made.getvalue()
    exchange.faults.append(Fault("2025-01.zip", status=200, body=packed, times=2))
    url = f"{exchange.url}/data/spot/monthly/klines/BTCUSDT/1h/BTCUSDT-1h-2025-01.zip"
    assert (
        archive.Archive(exchange.url, http).download(url, hashlib.sha256(packed).hexdigest(), "BTCUSDT", "1h") is None
    )
    assert "holds more than 64 MiB" in caplog.text


def test_backoff_grows_and_has_an_end(http: Http, exchange: Exchange, slept: Slept) -> None:
    exchange.faults.append(Fault("klines", status=502, times=99))
    with pytest.raises(NetworkError, match=r"127.0.0.1:\d+ answered 502 to /api/v3/klines"):
        http.get(f"{exchange.url}{PATH}")
    assert sum(slept) == pytest.approx(PATIENCE_SECONDS)
    assert slept[0] <= 1 < 8 <= max(slept) <= 20


def test_a_host_that_is_not_there_is_a_network_error_that_names_it(http: Http) -> None:
    with pytest.raises(NetworkError, match=r"127.0.0.1:9 did not answer /x: ConnectionError"):
        http.get("http://127.0.0.1:9/x")


@pytest.mark.parametrize("url", ["nonsense", "htp://x/y", "http://"])
def test_an_invalid_address_is_a_spec_error(http: Http, url: str) -> None:
    with pytest.raises(SpecError, match="is not an address; look at the ATB_BINANCE_"):
        http.get(url)


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("https_proxy", "socks5://me:hidden@127.0.0.1:9", "SOCKS.*PySocks"),
        ("https_proxy", "http://", "proxy's address is not valid"),
        ("https_proxy", "http://me:hidden@127.0.0.1:99999", "proxy's address is not valid"),
        ("https_proxy", "http://me:hidden@::1:9", "proxy's address is not valid"),
        ("https_proxy", "http://me:hidden@127.0.0.1:9 ", "proxy's address is not valid"),
        ("REQUESTS_CA_BUNDLE", "/no/such/file", "REQUESTS_CA_BUNDLE .* a file that is not there"),
    ],
)
def test_an_unusable_proxy_or_bundle_is_named(
    http: Http, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SpecError, match=words) as refused:
        http.get("https://exchange.invalid/x")
    assert "hidden" not in str(refused.value)


def test_credentials_for_a_mirror_or_a_proxy_are_never_printed(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NetworkError) as refused:
        http.get("http://me:hidden@127.0.0.1:9/x")
    monkeypatch.setenv("http_proxy", "http://me:hidden@127.0.0.1:9")
    with pytest.raises(NetworkError, match="the proxy did not let us through") as proxied:
        http.get("http://exchange.invalid/x")
    assert "hidden" not in f"{refused.value} {proxied.value}"


def test_a_stop_signal_ends_a_wait_that_the_host_requested(exchange: Exchange) -> None:
    exchange.faults.append(Fault("klines", status=429, headers={"Retry-After": "300"}))
    timer = threading.Timer(0.5, INTERRUPT.stop)
    timer.start()
    began = time.monotonic()
    with pytest.raises(NetworkError):
        Http().get(f"{exchange.url}{PATH}")
    assert time.monotonic() - began < 150  # half of what the host asked for
    timer.join()
