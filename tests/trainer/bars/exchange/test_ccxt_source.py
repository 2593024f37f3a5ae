"""Bars through ccxt, on a twin of an exchange, and ccxt's own classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from atb.errors import DataError, NetworkError, SpecError
from atb.storage import MemoryStore
from tests.exchange import Exchange
from tests.trainer.bars.conftest import ms
from trainer.bars.cache.cached import CachedSource
from trainer.bars.exchange.ccxt_source import ExchangeMonths, open_exchange
from trainer.bars.frame import Bars
from trainer.bars.sample import SampleSource

NOW = ms("2025-03-12T10:30")
START, END = ms("2025-01-10"), ms("2025-03-12T10:00")


class Twin:
    """What of a ccxt exchange is used, over made-up bars."""

    def __init__(self) -> None:
        self.timeframes = {"1h": "1h", "1d": "1d"}
        self.calls: list[tuple[str, int]] = []
        self.error: Exception | None = None

    def load_markets(self) -> dict[str, Any]:
        return {
            "BTC/USDT": {"id": "BTCUSDT", "type": "spot"},
            "BTC/USDT:USDT": {"id": "BTCUSDT", "type": "swap"},
            "ETH/USDT": {"id": "XETHZUSDT", "type": "spot"},
            "BTC/USD:USD": {"id": "PF_XBTUSD", "type": "swap"},
            "BTC/USD:BTC": {"id": "PI_XBTUSD", "type": "swap"},
            "BTC/USD:BTC-260327": {"id": "FI_XBTUSD_260327", "type": "future"},
            "ETH/USD:ETH": {"id": "a", "type": "swap"},
            "ETH/USD:BTC": {"id": "b", "type": "swap"},
        }

    def fetch_ohlcv(self, symbol: str, timeframe: str, since: int, limit: int) -> list[list[float]]:
        if self.error:
            raise self.error
        self.calls.append((symbol, since))
        bars = SampleSource().fetch(symbol, timeframe, "", since, min(since + limit * 3_600_000, NOW))
        return [[int(time), *row] for time, row in zip(bars.time, bars.values.tolist(), strict=True)]


def fetch(twin: Twin, symbol: str = "BTCUSDT", market: str = "spot", timeframe: str = "1h") -> Bars:
    months = ExchangeMonths("twin", twin, lambda: NOW)
    return CachedSource(months, MemoryStore(), lambda: NOW).fetch(symbol, timeframe, market, START, END)


def test_pages_make_one_series_without_the_unclosed_bar() -> None:
    bars = fetch(Twin())
    expected = SampleSource().fetch("BTC/USDT", "1h", "", START, END)
    assert np.array_equal(bars.time, expected.time)
    assert np.array_equal(bars.values, expected.values)


@pytest.mark.parametrize(
    ("symbol", "market", "unified"),
    [
        ("BTCUSDT", "spot", "BTC/USDT"),
        ("BTC/USDT", "spot", "BTC/USDT"),
        ("BTCUSDT", "um", "BTC/USDT:USDT"),
        ("ETHUSDT", "spot", "ETH/USDT"),
        ("XETHZUSDT", "spot", "ETH/USDT"),
        ("BTCUSD", "um", "BTC/USD:USD"),
        ("BTCUSD", "cm", "BTC/USD:BTC"),
        ("PI_XBTUSD", "cm", "BTC/USD:BTC"),
        ("ETH/USD:BTC", "cm", "ETH/USD:BTC"),
    ],
)
def test_a_symbol_is_found_in_any_spelling(symbol: str, market: str, unified: str) -> None:
    twin = Twin()
    fetch(twin, symbol, market)
    assert {requested for requested, _ in twin.calls} == {unified}


@pytest.mark.parametrize(
    ("symbol", "market", "problem"),
    [
        ("BTC/USDT", "um", "ccxt:twin has no um market BTC/USDT"),
        ("BTC/USD:BTC", "um", "ccxt:twin has no um market BTC/USD:BTC"),
        ("PI_XBTUSD", "um", "ccxt:twin has no um market PI_XBTUSD"),
        ("BTCUSDT", "cm", "ccxt:twin has no cm market BTCUSDT"),
        ("ETHUSD", "cm", "ETHUSD could be ETH/USD:ETH or ETH/USD:BTC; name one of them"),
    ],
)
def test_a_market_is_never_taken_for_one_that_settles_in_another_coin(symbol: str, market: str, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        fetch(Twin(), symbol, market)


def test_an_unknown_symbol_or_timeframe_is_reported_with_the_available_ones() -> None:
    with pytest.raises(DataError, match="ccxt:twin has no spot market BTCUSD; did you mean BTCUSDT"):
        fetch(Twin(), "BTCUSD")
    with pytest.raises(SpecError, match="timeframe 5m is not one of ccxt:twin's: 1h, 1d"):
        fetch(Twin(), timeframe="5m")


def test_ccxts_own_exceptions_become_ours() -> None:
    import ccxt

    for error, ours in [
        (ccxt.RequestTimeout("slow"), NetworkError),
        (ccxt.DDoSProtection("418"), NetworkError),
        (ccxt.ExchangeError("no"), DataError),
        (ccxt.BadSymbol("no"), DataError),
    ]:
        twin = Twin()
        twin.error = error
        with pytest.raises(ours):
            fetch(twin)


def test_an_exchange_is_opened_by_ccxts_name_for_it() -> None:
    assert open_exchange("kraken").name == "ccxt:kraken"
    with pytest.raises(SpecError, match="ccxt knows no exchange 'krakn'; did you mean kraken"):
        open_exchange("krakn")


def test_the_real_library_reads_the_loopback_exchange(exchange: Exchange, market_bars: Bars) -> None:
    import ccxt

    real = ccxt.binance({"enableRateLimit": False})
    real.urls["api"]["public"] = f"{exchange.url}/api/v3"
    market = {"id": "BTCUSDT", "symbol": "BTC/USDT", "base": "BTC", "quote": "USDT", "spot": True, "type": "spot"}
    real.set_markets([real.safe_market_structure(market)])
    source = CachedSource(ExchangeMonths("binance", real, exchange.clock), MemoryStore(), exchange.clock)
    bars = source.fetch("BTCUSDT", "1h", "spot", START, END)
    expected = market_bars.take((market_bars.time >= START) & (market_bars.time < END))
    assert np.array_equal(bars.time, expected.time)
    assert np.array_equal(bars.values, expected.values)
