"""Every fault that the public reports name, on a loopback exchange."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Callable
from typing import Literal, Protocol

import numpy as np
import pytest

from atb.errors import DataError, NetworkError, SpecError
from atb.storage import MemoryStore, Store
from tests.exchange import Exchange, Fault
from tests.exchange.archive_files import checksum_text
from tests.trainer.bars.conftest import Slept, cached, ms
from trainer.bars.cache.cached import CachedSource
from trainer.bars.exchange.binance import BinanceMonths
from trainer.bars.exchange.http import LONGEST_WAIT_SECONDS, Http
from trainer.bars.frame import Bars
from trainer.bars.sample import SampleSource

START, END = "2024-12-20", "2025-03-12T10:00"
MONTHLY_JANUARY = "BTCUSDT-1h-2025-01.zip"


class Fetch(Protocol):
    """Fetches a window through a store of its own, or a given one."""

    def __call__(
        self, start: str = START, end: str = END, store: Store | None = None, market: str = "spot"
    ) -> Bars: ...


@pytest.fixture
def fetch(binance: BinanceMonths, exchange: Exchange) -> Fetch:
    """Fetch a window through a store of its own, or a given one."""

    def run(start: str = START, end: str = END, store: Store | None = None, market: str = "spot") -> Bars:
        source = cached(binance, store or MemoryStore(), exchange)
        return source.fetch("BTCUSDT", "1h", market, ms(start), ms(end))

    return run


def window(bars: Bars, start: str = START, end: str = END) -> Bars:
    return bars.take((bars.time >= ms(start)) & (bars.time < ms(end)))


def same_rows(one: Bars, other: Bars) -> bool:
    return np.array_equal(one.time, other.time) and np.array_equal(one.values, other.values)


@pytest.mark.parametrize("market", ["spot", "um", "cm"])
def test_months_days_and_rest_make_one_gapless_series(
    fetch: Fetch, exchange: Exchange, market_bars: Bars, market: str
) -> None:
    assert same_rows(fetch(market=market), window(market_bars))
    assert exchange.asked("monthly.*2025-02.zip$") == 1
    assert exchange.asked("daily.*2025-03-11.zip$") == 1
    assert exchange.asked("klines\\?") == 1  # the hours of 2025-03-12 and nothing else


def test_a_file_with_a_header_reads_as_one_without(fetch: Fetch, exchange: Exchange, market_bars: Bars) -> None:
    exchange.header = True
    assert same_rows(fetch(), window(market_bars))


def test_milliseconds_and_microseconds_meet_at_the_turn_of_2025(fetch: Fetch, market_bars: Bars) -> None:
    bars = fetch("2024-12-31", "2025-01-02")
    assert bars.time[:: len(bars) - 1].tolist() == [ms("2024-12-31"), ms("2025-01-01T23:00")]
    assert (np.diff(bars.time) == 3_600_000).all()


@pytest.mark.parametrize("broken", ["corrupt", "cut"])
def test_a_file_broken_once_is_fetched_again(
    fetch: Fetch, exchange: Exchange, market_bars: Bars, broken: Literal["corrupt", "cut"]
) -> None:
    exchange.faults.append(Fault(f"{MONTHLY_JANUARY}$", broken))
    assert same_rows(fetch(), window(market_bars))
    assert exchange.asked(f"{MONTHLY_JANUARY}$") == 2


def test_a_wrong_checksum_falls_back_to_daily_files(
    fetch: Fetch, exchange: Exchange, market_bars: Bars, caplog: pytest.LogCaptureFixture
) -> None:
    exchange.faults.append(Fault(f"{MONTHLY_JANUARY}$", "corrupt", times=99))
    assert same_rows(fetch(), window(market_bars))
    assert exchange.asked("daily.*2025-01-17.zip$") == 1
    assert "its sha256 differs from the published one" in caplog.text


def test_an_invalid_zip_falls_back_to_daily_files(fetch: Fetch, exchange: Exchange, market_bars: Bars) -> None:
    whole = exchange.answer
    exchange.answer = lambda target: _broken_zip(whole, target)  # type: ignore[method-assign]
    assert same_rows(fetch(), window(market_bars))


def _broken_zip(whole: Callable[[str], tuple[int, bytes]], target: str) -> tuple[int, bytes]:
    status, body = whole(target)
    if MONTHLY_JANUARY not in target:
        return status, body
    cut = b"PK\x03\x04 not a zip"
    return 200, checksum_text(MONTHLY_JANUARY, cut).encode() if target.endswith("CHECKSUM") else cut


def test_a_late_month_is_put_together_and_replaced_when_it_comes(
    fetch: Fetch, exchange: Exchange, market_bars: Bars, caplog: pytest.LogCaptureFixture
) -> None:
    store = MemoryStore()
    exchange.absent.add(MONTHLY_JANUARY)
    assert same_rows(fetch(store=store), window(market_bars))
    exchange.absent.clear()
    exchange.now_ms += 86_400_001
    exchange.requests.clear()
    assert same_rows(fetch(store=store), window(market_bars))
    assert exchange.asked(f"{MONTHLY_JANUARY}$") == 1
    assert "changed" not in caplog.text


def test_a_missing_day_is_fetched_by_rest(fetch: Fetch, exchange: Exchange, market_bars: Bars) -> None:
    exchange.absent.add("BTCUSDT-1h-2025-03-05.zip")
    assert same_rows(fetch(), window(market_bars))
    assert exchange.asked(f"klines\\?.*startTime={ms('2025-03-05')}&endTime={ms('2025-03-06') - 1}") == 1


def test_a_short_month_is_completed_by_rest(fetch: Fetch, exchange: Exchange, market_bars: Bars) -> None:
    exchange.edit[MONTHLY_JANUARY] = lambda bars: bars.take(np.arange(len(bars)) % 700 != 350)
    assert same_rows(fetch(), window(market_bars))


def test_a_month_that_differs_from_its_days_wins_and_is_reported(
    fetch: Fetch, exchange: Exchange, caplog: pytest.LogCaptureFixture
) -> None:
    store = MemoryStore()
    exchange.absent.add(MONTHLY_JANUARY)
    before = fetch(store=store)
    exchange.absent.clear()
    exchange.edit[MONTHLY_JANUARY] = _with_another_volume
    exchange.now_ms += 86_400_001
    after = fetch(store=store)
    assert int((before.values != after.values).any(axis=1).sum()) == 3
    assert (
        "BTCUSDT 1h 2025-01 has changed at the source: 3 rows differ and are replaced, 0 are missing there and kept"
        in caplog.text
    )


def _with_another_volume(bars: Bars) -> Bars:
    values = bars.values.copy()
    values[10:13, 4] += 1
    return dataclasses.replace(bars, values=values)


def test_off_grid_and_duplicate_rows_arrive_as_they_are(fetch: Fetch, exchange: Exchange) -> None:
    def spoil(bars: Bars) -> Bars:
        spoiled = bars.take(np.array([0, 1, 1, *range(2, len(bars))]))
        spoiled.time[3] += 60_000
        return spoiled

    exchange.edit[MONTHLY_JANUARY] = spoil
    bars = fetch("2025-01-01", "2025-01-02")
    assert int((np.diff(bars.time) == 0).sum()) == 1
    assert int((bars.time % 3_600_000 != 0).sum()) == 1


def test_the_unclosed_bar_is_never_read(fetch: Fetch, exchange: Exchange) -> None:
    bars = fetch(end="2025-03-12T11:00")  # half an hour from now
    assert bars.time[-1] == ms("2025-03-12T09:00")


def test_a_clock_of_ours_that_is_ahead_lets_no_unclosed_bar_in(http: Http, exchange: Exchange) -> None:
    def ahead() -> int:
        return exchange.now_ms + 3_600_000

    source = CachedSource(BinanceMonths(exchange.url, exchange.url, http, ahead), MemoryStore(), ahead)
    bars = source.fetch("BTCUSDT", "1h", "spot", ms("2025-03-10"), ms("2025-03-12T11:00"))
    assert bars.time[-1] == ms("2025-03-12T09:00")


def test_the_second_run_fetches_only_what_is_new(fetch: Fetch, exchange: Exchange, market_bars: Bars) -> None:
    store = MemoryStore()
    fetch(store=store)
    exchange.requests.clear()
    fetch(store=store)
    assert exchange.requests == []
    exchange.now_ms += 3_600_000
    assert same_rows(fetch(end="2025-03-12T11:00", store=store), window(market_bars, end="2025-03-12T11:00"))
    assert len(exchange.requests) == 1
    assert exchange.asked(f"startTime={ms('2025-03-12T10:00')}&endTime={ms('2025-03-12T11:00') - 1}") == 1


def test_a_listing_inside_the_window_costs_one_question_and_is_no_hole(
    binance: BinanceMonths, exchange: Exchange, market_bars: Bars
) -> None:
    exchange.bars["spot", "NEWUSDT"] = dataclasses.replace(window(market_bars, "2025-01-17T05:00"), symbol="NEWUSDT")
    source = cached(binance, MemoryStore(), exchange)
    bars = source.fetch("NEWUSDT", "1h", "spot", ms("2024-11-01"), ms(END))
    assert bars.time[0] == ms("2025-01-17T05:00")
    assert exchange.asked("startTime=0") == 1
    assert exchange.asked("daily.*2024") == 0


def test_a_delisted_symbol_still_has_its_archive(binance: BinanceMonths, exchange: Exchange, market_bars: Bars) -> None:
    exchange.bars["spot", "OLDUSDT"] = window(market_bars, end="2025-01-20")
    whole = exchange.answer
    unknown = (400, b'{"code":-1121,"msg":"Invalid symbol."}')
    exchange.answer = lambda target: unknown if "symbol=OLDUSDT" in target else whole(target)  # type: ignore[method-assign]
    source = cached(binance, MemoryStore(), exchange)
    bars = source.fetch("OLDUSDT", "1h", "spot", ms("2025-01-02"), ms(END))
    assert same_rows(bars, window(market_bars, "2025-01-02", "2025-01-20"))


def test_an_unknown_symbol_is_a_data_error_that_names_the_market(binance: BinanceMonths, exchange: Exchange) -> None:
    source = cached(binance, MemoryStore(), exchange)
    with pytest.raises(DataError, match="XYZUSDT 1h: binance has no bars of it \\(spot market\\)"):
        source.fetch("XYZUSDT", "1h", "spot", ms(START), ms(END))


def test_a_timeframe_that_binance_has_not_is_a_spec_error(binance: BinanceMonths, exchange: Exchange) -> None:
    with pytest.raises(SpecError, match="timeframe 7h is not one of Binance's"):
        cached(binance, MemoryStore(), exchange).fetch("BTCUSDT", "7h", "spot", ms(START), ms(END))


@pytest.mark.parametrize(("status", "wait"), [(429, "7"), (429, "1.5"), (418, "180")])
def test_a_requested_wait_is_kept_once_and_exactly(
    fetch: Fetch, exchange: Exchange, market_bars: Bars, slept: Slept, status: int, wait: str
) -> None:
    exchange.faults.append(Fault("klines\\?", status=status, headers={"Retry-After": wait}))
    assert same_rows(fetch(), window(market_bars))
    assert sum(slept) == float(wait)
    assert exchange.asked("klines\\?") == 2


@pytest.mark.parametrize("unit", [1, 1000])
def test_a_ban_until_an_instant_in_the_body_is_waited_out(
    fetch: Fetch, exchange: Exchange, market_bars: Bars, slept: Slept, unit: int
) -> None:
    until = (exchange.now_ms + 90_000) // unit
    body = f'{{"code":-1003,"msg":"IP banned until {until}. Please use WebSocket."}}'.encode()
    exchange.faults.append(Fault("klines\\?", status=418, body=body))
    assert same_rows(fetch(), window(market_bars))
    assert sum(slept) == pytest.approx(90, abs=1)
    long = f'{{"msg":"banned until {exchange.now_ms + 3_600_000}"}}'.encode()
    exchange.faults.append(Fault("klines\\?", status=418, body=long))
    with pytest.raises(NetworkError, match=r"blocked this address \(418\) for 3,[56]\d\d s, until 20"):
        fetch(store=MemoryStore())


@pytest.mark.parametrize("symbol", ["BTCXUSDT"])
def test_a_symbol_of_another_alphabet_is_no_transient_fault(
    binance: BinanceMonths, exchange: Exchange, symbol: str
) -> None:
    illegal = (400, b'{"code":-1100,"msg":"Illegal characters found in parameter \'symbol\'"}')
    whole = exchange.answer
    exchange.answer = lambda target: illegal if "klines?" in target else whole(target)  # type: ignore[method-assign]
    with pytest.raises(DataError, match=f"refuses {symbol} 1h: Illegal characters.*written like BTCUSDT"):
        cached(binance, MemoryStore(), exchange).fetch(symbol, "1h", "spot", ms(START), ms(END))
    assert exchange.asked("klines\\?") < 10


@pytest.mark.parametrize("status", [401, 405, 414])
def test_another_refusal_is_no_transient_fault(fetch: Fetch, exchange: Exchange, status: int) -> None:
    exchange.faults.append(Fault("klines\\?", status=status, times=99))
    with pytest.raises(DataError, match=f"answered {status} to"):
        fetch()


def test_a_month_that_lost_a_bar_at_the_source_keeps_it_here(
    fetch: Fetch, exchange: Exchange, market_bars: Bars, caplog: pytest.LogCaptureFixture
) -> None:
    store = MemoryStore()
    before = fetch("2025-01-05", "2025-01-20", store)
    lost = market_bars.time != ms("2025-01-10")
    exchange.bars["spot", "BTCUSDT"] = market_bars.take(lost)
    exchange.edit[MONTHLY_JANUARY] = lambda bars: bars.take(bars.time != ms("2025-01-10"))
    exchange.now_ms += 86_400_001
    after = fetch("2025-01-05", "2025-01-20", store)
    assert after.digest == before.digest
    assert "0 rows differ and are replaced, 1 are missing there and kept" in caplog.text


def test_a_long_ban_is_not_waited_for(fetch: Fetch, exchange: Exchange, slept: Slept) -> None:
    wait = int(LONGEST_WAIT_SECONDS) + 1
    exchange.faults.append(Fault("klines\\?", status=418, headers={"Retry-After": str(wait)}, times=99))
    with pytest.raises(
        NetworkError, match=f"blocked this address \\(418\\) for {wait} s, until .* UTC; .*ATB_BINANCE_REST_URL"
    ):
        fetch()
    assert exchange.asked("klines\\?") == 1


def test_a_blocked_country_gets_advice_and_no_retry(fetch: Fetch, exchange: Exchange) -> None:
    exchange.faults.append(Fault("klines\\?", status=451, times=99))
    with pytest.raises(DataError, match=r"451.*ATB_BINANCE_REST_URL.*--as-of.*--source files"):
        fetch()
    assert exchange.asked("klines\\?") == 1


def test_a_refused_country_takes_months_before_the_archive_for_unlisted(
    binance: BinanceMonths, exchange: Exchange, market_bars: Bars, caplog: pytest.LogCaptureFixture
) -> None:
    exchange.bars["spot", "NEWUSDT"] = window(market_bars, "2025-01-17")
    exchange.faults.append(Fault("klines\\?", status=451, times=99))
    bars = cached(binance, MemoryStore(), exchange).fetch("NEWUSDT", "1h", "spot", ms("2024-12-01"), ms("2025-03-11"))
    assert same_rows(bars, window(market_bars, "2025-01-17", "2025-03-11"))
    assert "NEWUSDT 1h: no bars from 2024-12-01 on in the archive, and" in caplog.text


def test_weekly_bars_are_never_taken_from_a_days_file(binance: BinanceMonths, exchange: Exchange) -> None:
    weekly = SampleSource().fetch("BTCUSDT", "1w", "spot", ms("2024-12-01"), ms("2025-03-20"))
    exchange.bars["spot", "BTCUSDT"] = weekly
    bars = cached(binance, MemoryStore(), exchange).fetch("BTCUSDT", "1w", "spot", ms(START), ms("2025-03-12"))
    assert same_rows(bars, window(weekly, START, "2025-03-05"))
    assert exchange.asked("daily") == 0


def test_a_checksum_that_is_none_sends_us_elsewhere(fetch: Fetch, exchange: Exchange, market_bars: Bars) -> None:
    exchange.faults.append(Fault(f"{MONTHLY_JANUARY}.CHECKSUM", status=400))
    assert same_rows(fetch(), window(market_bars))
    assert exchange.asked("daily.*2025-01-17.zip$") == 1


def test_a_refused_country_needs_no_rest_for_finished_days(fetch: Fetch, exchange: Exchange, market_bars: Bars) -> None:
    exchange.faults.append(Fault("klines\\?", status=451, times=99))
    assert same_rows(fetch(end="2025-03-11"), window(market_bars, end="2025-03-11"))


def test_a_refused_country_reads_a_part_of_a_finished_day_from_the_archive(
    fetch: Fetch, exchange: Exchange, market_bars: Bars
) -> None:
    exchange.faults.append(Fault("klines\\?", status=451, times=99))
    store = MemoryStore()
    for end in ("2025-03-10T10:00", "2025-03-11T10:00"):  # as a schedule in the morning asks for yesterday's bars
        assert same_rows(fetch(end=end, store=store), window(market_bars, end=end))


def test_what_a_refused_country_lacks_after_the_listing_is_asked_for_again(
    fetch: Fetch, exchange: Exchange, market_bars: Bars
) -> None:
    exchange.absent.add("BTCUSDT-1h-2025-03-08.zip")
    exchange.faults.append(Fault("klines\\?", status=451, times=1))
    store = MemoryStore()
    assert len(fetch(end="2025-03-10", store=store)) == len(window(market_bars, end="2025-03-10")) - 24
    assert same_rows(fetch(end="2025-03-10", store=store), window(market_bars, end="2025-03-10"))


def rest_rows(*times: str) -> bytes:
    """An answer with a row for each time, and other prices in each."""
    rows = [[ms(time), *[str(1 + number)] * 5, 0, 1, 1, 1, 1, 0] for number, time in enumerate(times)]
    return json.dumps(rows).encode()


NO_BARS = [
    Fault("", status=200, body=b"[[1, 2]]"),
    Fault("", status=200, body=b"[" * 100_000),
    Fault("", status=200, body=b'[["a","b","c","d","e","f","g","h","i","j","k","l"]]'),
    Fault("", status=200, body=b"[[5,1,1,1,1,1,1,1,1,1,1,1]]"),
    Fault("", status=200, body=b"[[NaN,1,1,1,1,1,1,1,1,1,1,1]]"),
    Fault("", status=200, body=rest_rows("2025-03-08", "2025-03-07T23")),
    Fault("", status=200, body=rest_rows("2025-03-08", "2025-03-08")),
    Fault("", status=200, body=rest_rows("2025-01-01", "2025-01-01T01")),
    Fault("", status=200, body=rest_rows("2025-03-07T22", "2025-03-08")),
    Fault("", status=200, body=rest_rows("2025-03-08T23", "2025-03-10")),
    Fault("", status=302, headers={"Location": "http://[::1"}),
    Fault("", status=302, headers={"Location": "ftp://x"}),
    Fault("", status=400, body=b'{"code": -1125, "msg": "\\u001b[2Jno"}'),
    Fault("", status=401),
]


@pytest.mark.parametrize("fault", NO_BARS, ids=range(len(NO_BARS)))
def test_what_is_no_bars_leaves_no_hole_in_the_past(
    fetch: Fetch, exchange: Exchange, market_bars: Bars, fault: Fault
) -> None:
    exchange.absent.add("BTCUSDT-1h-2025-03-08.zip")
    exchange.faults.append(dataclasses.replace(fault, pattern="klines\\?"))
    store = MemoryStore()
    with pytest.raises((NetworkError, DataError)) as failed:
        fetch(end="2025-03-10", store=store)
    assert str(failed.value).isprintable()
    assert same_rows(fetch(end="2025-03-10", store=store), window(market_bars, end="2025-03-10"))


def test_a_busy_exchange_that_says_400_is_asked_again(fetch: Fetch, exchange: Exchange, market_bars: Bars) -> None:
    exchange.faults.append(Fault("klines\\?", status=400, body=b'{"code":-1001,"msg":"Internal error"}', times=2))
    assert same_rows(fetch(), window(market_bars))


@pytest.mark.parametrize("fault", [Fault("", "hang"), Fault("", "cut"), Fault("", status=500), Fault("", status=403)])
def test_what_passes_is_tried_again(
    fetch: Fetch, exchange: Exchange, market_bars: Bars, slept: Slept, fault: Fault
) -> None:
    exchange.faults.append(dataclasses.replace(fault, pattern="klines\\?"))
    assert same_rows(fetch(), window(market_bars))
    assert len(slept) == 1


def test_what_does_not_pass_is_a_network_error_after_a_minute(fetch: Fetch, exchange: Exchange) -> None:
    exchange.faults.append(Fault("klines\\?", status=503, times=99))
    with pytest.raises(NetworkError, match="answered 503 to /api/v3/klines"):
        fetch()
    assert 5 <= exchange.asked("klines\\?") <= 12


def test_months_in_the_store_serve_when_the_exchange_does_not_answer(
    fetch: Fetch, exchange: Exchange, caplog: pytest.LogCaptureFixture
) -> None:
    store = MemoryStore()
    before = fetch(end="2025-03-11", store=store)
    exchange.now_ms += 2 * 86_400_000
    exchange.faults.append(Fault("CHECKSUM", status=503, times=999))
    after = fetch(end="2025-03-11", store=store)
    assert after.digest == before.digest
    assert "2025-01: could not check whether it changed" in caplog.text


def test_a_finished_month_is_checked_once_a_day(
    fetch: Fetch, exchange: Exchange, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    store = MemoryStore()
    fetch("2025-01-05", "2025-01-20", store)
    exchange.requests.clear()
    exchange.now_ms += 86_400_001
    fetch("2025-01-05", "2025-01-20", store)
    fetch("2025-01-05", "2025-01-20", store)
    assert exchange.requests == [f"/data/spot/monthly/klines/BTCUSDT/1h/{MONTHLY_JANUARY}.CHECKSUM"]


@pytest.mark.parametrize("variable", ["ATB_BINANCE_ARCHIVE_URL", "ATB_BINANCE_REST_URL"])
@pytest.mark.parametrize("rest", ["?key=hidden", "/path?key=hidden", "#hidden"])
def test_a_mirror_s_address_ends_before_a_query_or_a_fragment(
    monkeypatch: pytest.MonkeyPatch, variable: str, rest: str
) -> None:
    monkeypatch.setenv(variable, f"https://mirror.example{rest}")
    with pytest.raises(SpecError, match=f"{variable} has more after") as refused:
        BinanceMonths()
    assert "hidden" not in str(refused.value)


def test_the_base_urls_come_from_the_environment(
    exchange: Exchange, http: Http, market_bars: Bars, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATB_BINANCE_ARCHIVE_URL", f"{exchange.url}/")
    monkeypatch.setenv("ATB_BINANCE_REST_URL", f"{exchange.url}/")
    binance = BinanceMonths(http=http, now_ms=exchange.clock)
    assert same_rows(
        cached(binance, MemoryStore(), exchange).fetch("BTCUSDT", "1h", "spot", ms(START), ms(END)), window(market_bars)
    )


def test_a_proxy_is_taken_from_the_usual_variables(
    exchange: Exchange, slept: Slept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", exchange.url)
    monkeypatch.delenv("no_proxy", raising=False)
    Http(clock=slept).get("http://exchange.invalid/api/v3/klines?symbol=X&startTime=0")
    assert exchange.requests == ["http://exchange.invalid/api/v3/klines?symbol=X&startTime=0"]
