"""Bars of any exchange that the library ccxt knows; it is an optional extra."""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable
from typing import Any, Protocol

from atb.contract import timeframe as tf
from atb.errors import DataError, NetworkError, SpecError
from atb.redaction import redact
from trainer.bars.cache.month_cache import CachedMonth
from trainer.bars.cache.months import SETTLED_MS, Month, Series
from trainer.bars.frame import empty_bars, join_bars
from trainer.bars.rows import bars_from_rows

_COLUMNS = ("open_time", "open", "high", "low", "close", "volume")
_ROWS_A_CALL = 500
_MARKET_TYPES = {"spot": "spot", "um": "swap", "cm": "swap"}


class Exchange(Protocol):
    """The part of a ccxt exchange that is used here."""

    timeframes: dict[str, Any]

    def load_markets(self) -> dict[str, Any]:
        """Markets by unified symbol; each has an ``id`` and a ``type``."""

    def fetch_ohlcv(self, symbol: str, timeframe: str, since: int, limit: int) -> list[list[float]]:
        """Rows of time, open, high, low, close, volume, in ascending order from ``since``."""


class ExchangeMonths:
    """Months of bars through ccxt's ``fetch_ohlcv``."""

    def __init__(self, name: str, exchange: Exchange, now_ms: Callable[[], int] | None = None) -> None:
        self.name = f"ccxt:{name}"
        self._exchange = exchange
        self._now_ms = now_ms or (lambda: int(time.time() * 1000))

    def fetch_month(self, series: Series, month: Month, until_ms: int, have: CachedMonth | None) -> CachedMonth:
        """The month, continued from where ``have`` ends."""
        begin = have.covers_until_ms if have else month.start_ms
        if have is not None and begin >= until_ms:
            return have
        market, symbol, timeframe = series
        unified = self._unified(symbol, market)
        if timeframe not in (self._exchange.timeframes or {timeframe: ""}):
            known = ", ".join(self._exchange.timeframes)
            raise SpecError(f"timeframe {timeframe} is not one of {self.name}'s: {known}")
        now, step = self._now_ms(), tf.to_ms(timeframe)
        parts, since = [have.bars if have else empty_bars(symbol, timeframe)], begin
        while since < until_ms:
            rows = _call(self.name, self._exchange.fetch_ohlcv, unified, timeframe, since, _ROWS_A_CALL)
            page = bars_from_rows(rows, _COLUMNS, symbol, timeframe, self.name)
            parts.append(page.take((page.time >= since) & (page.time < until_ms) & (page.time + step <= now)))
            after = int(page.time.max()) + step if len(page) else since + _ROWS_A_CALL * step
            since = max(after, since + step)
        bars = join_bars(parts)
        last = int(bars.time.max()) + step if len(bars) else begin
        return CachedMonth(bars, max(begin, min(until_ms, now - SETTLED_MS), min(last, until_ms)), "parts")

    def _unified(self, symbol: str, market: str) -> str:
        """The exchange's spelling: ``BTC/USDT`` for ``BTCUSDT`` on spot, ``BTC/USDT:USDT`` on um."""
        markets = _call(self.name, self._exchange.load_markets)
        names: list[str] = [name for name, entry in markets.items() if _is_of(market, name, entry.get("type"))]
        if symbol in names:
            return symbol
        plain = [(name, name.split(":")[0].replace("/", "")) for name in names]
        found = [name for name in names if str(markets[name].get("id")) == symbol]
        found = found or [name for name, spelt in plain if spelt == symbol]
        if len(found) > 1:
            raise DataError(f"{self.name}: {symbol} could be {' or '.join(found[:3])}; name one of them")
        if found:
            return found[0]
        near = difflib.get_close_matches(symbol, [*names, *(spelt for _, spelt in plain)], n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise DataError(f"{self.name} has no {market} market {symbol}{hint}")


def _is_of(market: str, name: str, kind: str | None) -> bool:
    """Whether a name is of the market: ``BTC/USDT:USDT`` settles in the quote (um), ``BTC/USD:BTC`` not (cm)."""
    pair, _, settled = name.partition(":")
    return kind == _MARKET_TYPES[market] and (
        market == "spot" or (settled == pair.partition("/")[2]) == (market == "um")
    )


def open_exchange(name: str) -> ExchangeMonths:
    """The exchange with ccxt's name for it. Raises SpecError where ccxt is absent or does not know it."""
    try:
        import ccxt
    except ModuleNotFoundError:
        raise SpecError(f"--source ccxt:{name} needs the library ccxt: pip install ccxt") from None
    if name not in ccxt.exchanges:
        near = difflib.get_close_matches(name, ccxt.exchanges, n=1)
        raise SpecError(
            f"ccxt knows no exchange {name!r}"
            + (f"; did you mean {near[0]}?" if near else "; take one of ccxt.exchanges")
        )
    options: dict[str, Any] = {"enableRateLimit": True, "requests_trust_env": True, "timeout": 30_000}
    return ExchangeMonths(name, getattr(ccxt, name)(options))


def _call(name: str, ask: Callable[..., Any], *arguments: Any) -> Any:
    """Translate ccxt's exceptions by name, so that a twin needs no ccxt."""
    try:
        return ask(*arguments)
    except Exception as error:
        classes = [cls.__name__ for cls in type(error).__mro__]
        message = redact((str(error).splitlines() or [type(error).__name__])[0])[:200]
        if "BadSymbol" in classes or "NotSupported" in classes:
            raise DataError(f"{name}: {message}") from None
        if "NetworkError" in classes:
            raise NetworkError(f"{name} did not answer: {message}; try later, with fewer jobs at once") from None
        if "BaseError" in classes:
            raise DataError(f"{name} refuses: {message}") from None
        raise
