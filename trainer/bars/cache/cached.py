"""A source that lives elsewhere, read through the months in the store: only what is new is fetched."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Protocol

import numpy as np

from atb.contract.sources import validate_symbol
from atb.documents.bars_index import BarsIndex
from atb.errors import DataError, NetworkError
from atb.storage import Store
from trainer.bars.cache.claim import hold_claim
from trainer.bars.cache.month_cache import CachedMonth, MonthCache, rows_before
from trainer.bars.cache.months import DAY_MS, Month, Series, months_between
from trainer.bars.frame import Bars, empty_bars, join_bars
from trainer.bars.parallel import work_all

log = logging.getLogger(__name__)

RECHECK_MS = DAY_MS
"""How long after its last check a finished month is checked again at the source."""
_AT_ONCE = 8


class Months(Protocol):
    """The seam to an exchange: one month at a time."""

    @property
    def name(self) -> str:
        """As the user wrote it; part of the cache's key."""

    def fetch_month(self, series: Series, month: Month, until_ms: int, have: CachedMonth | None) -> CachedMonth:
        """The month up to at least ``until_ms``, continued from ``have``; ``have`` itself if nothing is new.

        Raises DataError, DataNotReady, NetworkError.
        """


class CachedSource:
    """Bars of an exchange, kept in the store by month and shared by all jobs."""

    synthetic = False
    live = True

    def __init__(self, months: Months, store: Store, now_ms: Callable[[], int] | None = None) -> None:
        self.name = months.name
        self._months = months
        self._store = store
        self._now_ms = now_ms or (lambda: int(time.time() * 1000))

    def fetch(self, symbol: str, timeframe: str, market: str, start_ms: int, end_ms: int) -> Bars:
        """Rows with ``start_ms <= open time < end_ms`` that have closed by now."""
        end_ms = min(end_ms, self._now_ms())
        validate_symbol(symbol, self.name, market)
        series = Series(market, symbol, timeframe)
        cache = MonthCache(self._store, self.name, series)
        wanted = months_between(start_ms, end_ms)
        held = _read_all(cache, wanted)
        if self._due(held, cache.index(), end_ms):
            with hold_claim(self._store, cache.claim_key) as renew:
                held = _read_all(cache, wanted)  # another may have fetched them while we waited for the claim
                due = {month: held[month] for month in self._due(held, cache.index(), end_ms)}
                held.update(self._update(cache, series, due, end_ms, renew))
        parts = [found.bars for found in held.values() if found is not None]
        if not sum(map(len, parts)):
            raise DataError(
                f"{symbol} {timeframe}: {self.name} has no bars of it ({market} market) in this window; "
                "check the symbol, --market and --start"
            )
        bars = join_bars([part for part in parts if len(part)] or [empty_bars(symbol, timeframe)])
        inside = bars.take((bars.time >= start_ms) & (bars.time < end_ms))
        return replace(inside, origins=_origins(cache, held, end_ms))

    def _due(self, held: dict[Month, CachedMonth | None], index: BarsIndex, end_ms: int) -> list[Month]:
        """Months that lack bars before ``end_ms``, or are over and have not been checked for a while."""
        now = self._now_ms()
        due = []
        for month, found in held.items():
            entry = index.months.get(month.name)
            lacking = found is None or found.covers_until_ms < min(end_ms, month.end_ms)
            old = entry is None or (month.end_ms <= now and now - entry.checked_ms > RECHECK_MS)
            if lacking or old:
                due.append(month)
        return due

    def _update(
        self,
        cache: MonthCache,
        series: Series,
        due: Mapping[Month, CachedMonth | None],
        end_ms: int,
        renew: Callable[[], None],
    ) -> dict[Month, CachedMonth]:
        if not due:
            return {}

        def fetch(month: Month) -> CachedMonth:
            have, until_ms = due[month], min(end_ms, month.end_ms)
            try:
                found = self._months.fetch_month(series, month, until_ms, have)
            except (NetworkError, DataError) as error:
                if have is None or have.covers_until_ms < until_ms:
                    raise
                log.warning("%s %s: could not check whether it changed: %s", series, month.name, error)
                return have
            if found is have:
                return have
            if have is not None:
                found = replace(found, bars=_keep_rows(series, month, have.bars, found.bars))
            cache.write(month, found)
            return found

        fetched: dict[Month, CachedMonth] = {}
        try:
            for number, (month, found) in enumerate(work_all(fetch, list(due), _AT_ONCE), 1):
                fetched[month] = found
                renew()
                _show_progress(f"{series}: month {number} of {len(due)}", number == len(due))
        finally:
            cache.note(fetched, end_ms, self._now_ms())
        log.info("%s: read %d months from %s", series, len(fetched), self.name)
        return fetched


def _read_all(cache: MonthCache, months: list[Month]) -> dict[Month, CachedMonth | None]:
    found = dict(work_all(cache.read, months, _AT_ONCE))
    return {month: found[month] for month in months}


def _origins(cache: MonthCache, held: Mapping[Month, CachedMonth | None], end_ms: int) -> dict[str, str]:
    """The digest of each month; of the last one, of what was read of it, which the index must know for later."""
    origins = {cache.key(month): found.bars.digest for month, found in held.items() if found is not None}
    last = max(held)
    found = held[last]
    if found is not None and end_ms < last.end_ms:
        cut = str(end_ms)
        del origins[cache.key(last)]
        digest = origins[f"{cache.key(last)}@{cut}"] = rows_before(found.bars, end_ms).digest
        noted = cache.index().months.get(last.name)
        if noted is None or noted.cuts.get(cut) != digest:
            cache.note({last: found}, end_ms)
    return origins


def _keep_rows(series: Series, month: Month, before: Bars, after: Bars) -> Bars:
    """``after``, and the rows of ``before`` that it lacks: a source that has lost a bar knows less than we do."""
    common, old, new = np.intersect1d(before.time, after.time, return_indices=True)
    differing = int(np.count_nonzero((before.values[old] != after.values[new]).any(axis=1)))
    lost = ~np.isin(before.time, common)
    if differing or lost.any():
        log.warning(
            "%s %s has changed at the source: %d rows differ and are replaced, %d are missing there and kept",
            series, month.name, differing, int(lost.sum()),
        )  # fmt: skip
    if not lost.any():
        return after
    joined = join_bars([after, before.take(lost)])
    return joined.take(np.argsort(joined.time, kind="stable"))


def _show_progress(text: str, last: bool) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{text}\x1b[K" + ("\n" if last else ""))
        sys.stderr.flush()
