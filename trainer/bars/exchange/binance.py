"""Bars of Binance: whole months from the archive, the open month from its days, the last hours from REST."""

from __future__ import annotations

import functools
import logging
import os
import threading
import time
from collections.abc import Callable

import numpy as np

from atb.contract import timeframe as tf
from atb.errors import DataError, NetworkError, SpecError
from trainer.bars.cache.month_cache import CachedMonth
from trainer.bars.cache.months import DAY_MS, SETTLED_MS, Month, Series, day_name
from trainer.bars.exchange.archive import Archive
from trainer.bars.exchange.http import CountryRefused, Http
from trainer.bars.exchange.klines import Klines
from trainer.bars.frame import Bars, empty_bars, join_bars
from trainer.bars.parallel import work_all

log = logging.getLogger(__name__)

ARCHIVE_URL = "https://data.binance.vision"
ARCHIVE_VARIABLE = "ATB_BINANCE_ARCHIVE_URL"
REST_VARIABLE = "ATB_BINANCE_REST_URL"
"""A mirror's base URL in place of the exchange's."""

TIMEFRAMES = ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "1w")
_MOST_HOLES = 20
"""At most this many holes in a monthly file are filled by REST; a file with more is used as it is."""


class BinanceMonths:
    """Months of bars from the exchange's archive and API."""

    name = "binance"

    def __init__(
        self,
        archive_url: str | None = None,
        rest_url: str | None = None,
        http: Http | None = None,
        now_ms: Callable[[], int] | None = None,
    ) -> None:
        http = http or Http(say=log.warning)
        self._archive = Archive(archive_url or _mirror(ARCHIVE_VARIABLE) or ARCHIVE_URL, http)
        self._klines = Klines(rest_url or _mirror(REST_VARIABLE), http)
        self._now_ms = now_ms or (lambda: int(time.time() * 1000))
        self._listed: dict[Series, int | None] = {}
        self._asking = threading.Lock()

    def fetch_month(self, series: Series, month: Month, until_ms: int, have: CachedMonth | None) -> CachedMonth:
        """The month, from its monthly file where there is a sound one, else put together from days and REST."""
        if series.timeframe not in TIMEFRAMES:
            raise SpecError(f"timeframe {series.timeframe} is not one of Binance's: {', '.join(TIMEFRAMES)}")
        if month.end_ms <= self._now_ms():
            whole = self._from_monthly(series, month, have)
            if whole is not None:
                return whole
            listed = self._listed_ms(series)
            if listed is not None and month.end_ms <= listed:
                return CachedMonth(empty_bars(series.symbol, series.timeframe), month.end_ms, "parts")
        return self._from_parts(series, month, until_ms, have)

    def _from_monthly(self, series: Series, month: Month, have: CachedMonth | None) -> CachedMonth | None:
        url = self._archive.month_url(*series, month)
        checksum = self._archive.checksum(url)
        if checksum is None:
            return None
        if have is not None and have.checksum == checksum:
            return have
        bars = self._archive.download(url, checksum, series.symbol, series.timeframe)
        if bars is None:
            return None
        bars = _within(bars, month.start_ms, month.end_ms)
        return CachedMonth(self._fill_holes(series, month, bars), month.end_ms, "monthly", checksum)

    def _fill_holes(self, series: Series, month: Month, bars: Bars) -> Bars:
        """Monthly files can be short: what is missing is fetched by REST, which also knows the true outages."""
        step, offset = tf.to_ms(series.timeframe), tf.grid_offset_ms(series.timeframe)
        grid = np.arange(offset - (offset - month.start_ms) // step * step, month.end_ms, step)
        missing = np.setdiff1d(grid, bars.time)
        if not len(missing):
            return bars
        holes = np.split(missing, np.flatnonzero(np.diff(missing) != step) + 1)
        if len(holes) > _MOST_HOLES:
            log.warning("%s %s: %d gaps in the monthly file; they are kept", series, month.name, len(holes))
            return bars
        try:
            found = [self._klines.fetch(*series, int(hole[0]), int(hole[-1]) + step) for hole in holes]
        except (NetworkError, DataError) as error:
            log.warning("%s %s: %d bars not in the monthly file: %s", series, month.name, len(missing), error)
            return bars
        joined = join_bars([bars, *found])
        return joined.take(np.argsort(joined.time, kind="stable")) if len(joined) > len(bars) else bars

    def _from_parts(self, series: Series, month: Month, until_ms: int, have: CachedMonth | None) -> CachedMonth:
        begin = have.covers_until_ms if have else month.start_ms
        if begin >= until_ms:
            assert have is not None
            return have
        now = self._now_ms()
        days = _days_over(begin, until_ms, now) if tf.to_ms(series.timeframe) <= DAY_MS else []
        by_day = dict(work_all(functools.partial(self._day, series), days, 4))
        parts = {
            max(day, begin): _within(bars, max(day, begin), until_ms)
            for day, bars in by_day.items()
            if bars is not None
        }
        before = have.bars.take(have.bars.time < begin) if have else empty_bars(series.symbol, series.timeframe)
        unknown = until_ms
        for start, stop in _uncovered(begin, until_ms, [day for day, bars in by_day.items() if bars is not None]):
            found = self._by_rest(series, start, stop, now)
            if found is not None:
                parts[start] = found
            elif len(before) or any(len(bars) for at, bars in parts.items() if at < start):
                unknown = min(unknown, start)  # not before the listing: asked again
        fresh = join_bars([empty_bars(series.symbol, series.timeframe), *(parts[start] for start in sorted(parts))])
        fresh = fresh.take(fresh.time + fresh.step_ms <= now)
        return CachedMonth(join_bars([before, fresh]), min(unknown, _reach(fresh, begin, until_ms, now)), "parts")

    def _by_rest(self, series: Series, start_ms: int, stop_ms: int, now: int) -> Bars | None:
        """What neither archive has; None where REST refuses this country what has been settled for long."""
        try:
            return self._klines.fetch(*series, start_ms, stop_ms)
        except CountryRefused as error:
            if stop_ms > now - SETTLED_MS:
                raise
            log.warning("%s: no bars from %s on in the archive, and %s", series, day_name(start_ms), error)
            return None

    def _day(self, series: Series, day_ms: int) -> Bars | None:
        url = self._archive.day_url(*series, day_ms)
        checksum = self._archive.checksum(url)
        if checksum is None:
            return None
        bars = self._archive.download(url, checksum, series.symbol, series.timeframe)
        return None if bars is None else _within(bars, day_ms, day_ms + DAY_MS)

    def _listed_ms(self, series: Series) -> int | None:
        """When the first bar opened, requested once; None if REST does not tell."""
        with self._asking:
            if series not in self._listed:
                try:
                    self._listed[series] = self._klines.listed_ms(*series)
                except (NetworkError, DataError):
                    self._listed[series] = None
            return self._listed[series]


def _mirror(variable: str) -> str | None:
    """The base URL that a variable names. Raises SpecError for one to which no path can be added."""
    url = os.environ.get(variable, "").strip()
    if "?" in url or "#" in url:
        raise SpecError(f"{variable} has more after ? or #, where a mirror's address ends; write https://HOST/PATH")
    return url or None


def _within(bars: Bars, start_ms: int, end_ms: int) -> Bars:
    return bars.take((bars.time >= start_ms) & (bars.time < end_ms))


def _days_over(begin: int, until_ms: int, now: int) -> list[int]:
    """The start of every day that overlaps ``[begin, until_ms)`` and is over: the archive may have all of it."""
    return [day for day in range(begin // DAY_MS * DAY_MS, until_ms, DAY_MS) if day + DAY_MS <= now]


def _uncovered(begin: int, until_ms: int, days: list[int]) -> list[tuple[int, int]]:
    """What of ``[begin, until_ms)`` lies in none of the days, in order."""
    edges = [begin, *(edge for day in sorted(days) for edge in (day, day + DAY_MS)), until_ms]
    return [(start, stop) for start, stop in zip(edges[::2], edges[1::2], strict=True) if start < stop]


def _reach(fresh: Bars, begin: int, until_ms: int, now: int) -> int:
    """How far the month is known: up to the requested time, less what may still come."""
    settled = min(until_ms, now - SETTLED_MS)
    last = int(fresh.time.max()) + fresh.step_ms if len(fresh) else begin
    return max(begin, settled, min(last, until_ms))
