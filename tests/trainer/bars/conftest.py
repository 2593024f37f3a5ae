"""An exchange on a loopback port, with real bars where they are and made-up ones elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from atb.contract import timeframe as tf
from atb.storage import MemoryStore, Store
from tests.conftest import SHARED_BARS
from tests.exchange import Exchange, serve_exchange
from trainer.bars.cache.cached import CachedSource
from trainer.bars.exchange.binance import BinanceMonths
from trainer.bars.exchange.http import Http
from trainer.bars.files import FilesSource
from trainer.bars.frame import Bars
from trainer.bars.sample import SampleSource

NOW = datetime(2025, 3, 12, 10, 30, tzinfo=UTC)
"""The exchange's clock: February 2025 is archived in microseconds, December 2024 in milliseconds."""


def ms(text: str) -> int:
    """Milliseconds of an ISO instant in UTC."""
    return tf.epoch_ms(tf.parse_instant(text, "time"))


@pytest.fixture(scope="session")
def market_bars() -> Bars:
    """Hourly bars of BTCUSDT from 2024-10 to 2025-04."""
    source = FilesSource(str(SHARED_BARS / "spot"), MemoryStore()) if SHARED_BARS.is_dir() else SampleSource()
    return source.fetch("BTCUSDT", "1h", "spot", ms("2024-10-01"), ms("2025-04-01"))


@pytest.fixture
def exchange(market_bars: Bars) -> Iterator[Exchange]:
    """BTCUSDT on every market."""
    bars = {(market, "BTCUSDT"): market_bars for market in ("spot", "um", "cm")}
    with serve_exchange(bars, NOW) as serving:
        yield serving


class Slept(list[float]):
    """A clock: waiting only moves it, and is kept."""

    def sleep(self, seconds: float) -> None:
        self.append(seconds)

    def monotonic(self) -> float:
        return sum(self)

    def now(self) -> float:
        return time.time() + sum(self)


@pytest.fixture
def slept() -> Slept:
    """What was waited, in order."""
    return Slept()


@pytest.fixture
def http(slept: Slept) -> Http:
    """Patient without waiting, and with a read timeout that a busy machine still meets."""
    return Http(timeout=(2, 2.0), clock=slept)


@pytest.fixture
def binance(exchange: Exchange, http: Http) -> BinanceMonths:
    """The months of the loopback exchange."""
    return BinanceMonths(exchange.url, exchange.url, http, exchange.clock)


def cached(binance: BinanceMonths, store: Store, exchange: Exchange) -> CachedSource:
    """A source of one process; several may share the store."""
    return CachedSource(binance, store, exchange.clock)
