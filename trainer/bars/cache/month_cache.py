"""Months of bars in the store, as Parquet that can tell whether it is whole and what it is."""

from __future__ import annotations

import json
import logging
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from atb.contract import keys
from atb.contract.names import whole_number
from atb.documents.bars_index import BarsIndex, IndexedMonth
from atb.errors import DataError, NotFound, PreconditionFailed, SpecError, StoreError, Unreadable
from atb.storage import Store
from trainer.bars.cache.months import Month, Series
from trainer.bars.columns import array_of, column_of, read_parquet
from trainer.bars.frame import COLUMNS, Bars

log = logging.getLogger(__name__)

_METADATA = b"atb"
_VERSION = 1
_TIME = pa.timestamp("ms", "UTC")
_MOST_CUTS = 100
"""How many versions are kept; a request for an earlier one reports that the month has changed."""
_CUT_DIGITS = 13
_TRIES = 20
"""How often an index is written again because another writer was faster."""


@dataclass(frozen=True)
class CachedMonth:
    """Rows of one month as the source has them, unchecked, and how far they reach.

    ``origin``: the source's own monthly file, whose sha256 is ``checksum``, or put together from smaller parts.
    Nothing is known yet from ``covers_until_ms`` on.
    """

    bars: Bars
    covers_until_ms: int
    origin: Literal["monthly", "parts"]
    checksum: str = ""


class MonthCache:
    """The months of one series of a source."""

    def __init__(self, store: Store, source: str, series: Series) -> None:
        self._store = store
        self._series = series
        self._identity = (source, *series)

    @property
    def claim_key(self) -> str:
        """What to hold while fetching."""
        return keys.bars_claim(*self._identity)

    def key(self, month: Month) -> str:
        """Where a month is."""
        return keys.bars_month(*self._identity, month.name)

    def read(self, month: Month) -> CachedMonth | None:
        """The month, or None where there is none that is whole and of this symbol and timeframe."""
        key = self.key(month)
        try:
            data = self._store.get(key)
        except NotFound:
            return None
        except Unreadable as problem:
            log.warning("%s; it is fetched again", problem)
            return None
        try:
            return _decode(data, self._series)
        except (pa.ArrowException, DataError, ValueError, KeyError, TypeError, OSError) as error:
            log.warning(
                "%s is damaged or was not written by atb (%s); it is fetched again", key, str(error).splitlines()[0]
            )
            return None

    def write(self, month: Month, found: CachedMonth) -> None:
        """Write the month to a file, read that back, and upload it."""
        with tempfile.TemporaryDirectory(prefix="atb-") as folder:
            path = Path(folder, "month.parquet")
            _encode(found, path)
            written = _decode(path.read_bytes(), self._series)
            if written.bars.digest != found.bars.digest:
                raise StoreError(f"{self.key(month)} was damaged when it was written to {folder}; look at the disk")
            self._store.put_file(self.key(month), path)

    def index(self) -> BarsIndex:
        """What is known of the months without reading them; empty where nothing is."""
        return self._index()[0]

    def note(self, months: Mapping[Month, CachedMonth], cut_ms: int, checked_ms: int | None = None) -> None:
        """Put months, and the instant they are cut at now, into the index.

        ``checked_ms``: when the source was checked, if it was. Writers that meet take turns; on a store without
        conditions the last one wins.
        """
        key = keys.bars_index(*self._identity)
        for number in range(_TRIES):
            index, etag = self._index()
            entries = {
                month.name: _describe(month, found, index.months.get(month.name), cut_ms, checked_ms)
                for month, found in months.items()
            }
            data = BarsIndex(months={**index.months, **entries}).to_bytes()
            try:
                if etag is None:
                    self._store.put_if_absent(key, data)
                else:
                    self._store.put_if_match(key, data, etag)
                return
            except PreconditionFailed:
                time.sleep(0.01 * number)
        log.warning("%s is being written by too many processes at once; these months will be checked again", key)

    def _index(self) -> tuple[BarsIndex, str | None]:
        key = keys.bars_index(*self._identity)
        try:
            data, etag = self._store.get_with_etag(key)
        except NotFound:
            return BarsIndex(), None
        except Unreadable as problem:
            log.warning("%s; months are checked again until atb-launch store check --repair", problem)
            return BarsIndex(), None
        try:
            return BarsIndex.from_bytes(data, key), etag
        except SpecError as error:
            log.warning("%s; it is written again", error)
            return BarsIndex(), etag


def rows_before(bars: Bars, cut_ms: int) -> Bars:
    """The rows that open before an instant."""
    return bars.take(bars.time < cut_ms)


def _describe(
    month: Month, found: CachedMonth, before: IndexedMonth | None, cut_ms: int, checked_ms: int | None
) -> IndexedMonth:
    known = (whole_number(cut, _CUT_DIGITS) for cut in before.cuts) if before else ()
    cuts = {cut for cut in known if cut is not None}
    if month.start_ms < cut_ms < month.end_ms:
        cuts.add(cut_ms)
    return IndexedMonth(
        digest=found.bars.digest,
        rows=len(found.bars),
        covers_until_ms=found.covers_until_ms,
        checked_ms=checked_ms or (before.checked_ms if before else 0),
        cuts={str(cut): rows_before(found.bars, cut).digest for cut in sorted(cuts)[-_MOST_CUTS:]},
    )


def _encode(found: CachedMonth, path: Path) -> None:
    bars = found.bars
    columns = {"timestamp": column_of(bars.time).cast(_TIME)}
    columns |= {name: column_of(bars.values[:, i]) for i, name in enumerate(COLUMNS)}
    columns |= {name: column_of(column) for name, column in bars.extra.items()}
    about = {
        "version": _VERSION,
        "symbol": bars.symbol,
        "timeframe": bars.timeframe,
        "digest": bars.digest,
        "covers_until_ms": found.covers_until_ms,
        "origin": found.origin,
        "checksum": found.checksum,
    }
    schema = pa.schema(
        [
            ("timestamp", _TIME),
            *((name, pa.float64()) for name in COLUMNS),
            *((name, pa.float64()) for name in bars.extra),
        ],
        metadata={_METADATA: json.dumps(about).encode()},
    )
    pq.write_table(pa.table(columns, schema=schema), path, compression="zstd")


def _decode(data: bytes, series: Series) -> CachedMonth:
    table = read_parquet(data, "a month")
    about = json.loads((table.schema.metadata or {})[_METADATA])
    if (about["version"], about["symbol"], about["timeframe"]) != (_VERSION, series.symbol, series.timeframe):
        raise ValueError(f"it is version {about['version']} of {about['symbol']} {about['timeframe']}")
    extra = [name for name in table.column_names if name not in ("timestamp", *COLUMNS)]
    bars = Bars(
        series.symbol,
        series.timeframe,
        array_of(table["timestamp"].cast(pa.int64())),
        np.column_stack([array_of(table[name]) for name in COLUMNS]),
        {name: array_of(table[name]) for name in extra},
    )
    if bars.digest != about["digest"]:
        raise ValueError("its rows are not those that were written")
    return CachedMonth(bars, int(about["covers_until_ms"]), about["origin"], about["checksum"])
