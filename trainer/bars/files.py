"""Bars from a user's own files: Parquet, CSV or feather, in a directory or in the store."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from pathlib import Path

import pyarrow as pa
import pyarrow.feather

from atb.errors import DataError
from atb.storage import Store
from atb.storage.fingerprints import file_origin, object_origin
from trainer.bars.columns import read_parquet
from trainer.bars.frame import Bars, join_bars
from trainer.bars.table import bars_from_table, read_csv, span, unzip

_NAME = re.compile(
    r"(?P<symbol>.+?)(?:[-_](?P<timeframe>[1-9]\d*[mhdw]))?(?:-(?:\d{4}-\d\d(?:-\d\d)?|futures))?"
    r"\.(?P<kind>parquet|feather|csv|csv\.gz|zip)"
)
_KINDS = ("parquet", "feather", "csv", "csv.gz", "zip")
_IN_STORE = "store:"


class FilesSource:
    """Files named by symbol and timeframe: ``BTCUSDT_1h.parquet``, ``BTC_USDT-1h.feather``, ``BTCUSDT-1h-2025-01.csv``.

    ``path`` is a directory, or ``store:`` and a folder of the store. Of a symbol's files only those of the first kind
    found are read, in the order Parquet, feather, CSV, zip.
    """

    synthetic = False
    live = False

    def __init__(self, path: str, store: Store) -> None:
        self.name = f"files:{path}"
        self._path = path
        self._store = store

    def fetch(self, symbol: str, timeframe: str, market: str, start_ms: int, end_ms: int) -> Bars:
        """Rows of the symbol's files with ``start_ms <= open time < end_ms``. Raises DataError."""
        files = self._matching(symbol, timeframe)
        if not files:
            stem = f"{_plain(symbol)}_{timeframe}"
            raise DataError(f"{symbol}: no file {stem}.parquet, .feather or .csv in {self._path}")
        parts, origins = [], {}
        for where in files:
            data, (origin, fingerprint) = self._read(where)
            parts.append(bars_from_table(_parse(data, where), symbol, timeframe, where))
            origins[origin] = fingerprint
        bars = join_bars(parts)
        inside = bars.take((bars.time >= start_ms) & (bars.time < end_ms))
        if not len(inside):
            raise DataError(
                f"{symbol} {timeframe}: {files[-1]} holds {span(bars)}; choose --as-of and --days within it"
            )
        inside.origins.update(origins)
        return inside

    def _matching(self, symbol: str, timeframe: str) -> list[str]:
        by_kind: dict[str, list[str]] = {}
        for where in self._list():
            match = _NAME.fullmatch(where.rpartition("/")[2])
            if match and _plain(match["symbol"]) == _plain(symbol) and match["timeframe"] in (timeframe, None):
                by_kind.setdefault(match["kind"], []).append(where)
        return next((sorted(by_kind[kind]) for kind in _KINDS if kind in by_kind), [])

    def _list(self) -> list[str]:
        if self._path.startswith(_IN_STORE):
            prefix = f"{self._path.removeprefix(_IN_STORE).strip('/')}/"
            return [entry.key for entry in self._store.list(prefix)]
        folder = Path(self._path).expanduser()
        if not folder.is_dir():
            raise DataError(f"there is no directory {self._path}; name one that is, or {_IN_STORE}FOLDER for the store")
        return [str(path) for path in folder.iterdir()]

    def _read(self, where: str) -> tuple[bytes, tuple[str, str]]:
        if self._path.startswith(_IN_STORE):
            return self._store.get(where), object_origin(where, self._store)
        try:
            return Path(where).read_bytes(), file_origin(Path(where))
        except OSError as error:
            raise DataError(f"{where} can't be read: {error.strerror}; make it a readable file") from None


def _parse(data: bytes, where: str) -> pa.Table:
    try:
        if where.endswith(".parquet"):
            return read_parquet(data)
        if where.endswith(".feather"):
            return pa.feather.read_table(io.BytesIO(data))
        if where.endswith(".gz"):
            data = gzip.decompress(data)
    except (pa.ArrowInvalid, OSError, EOFError, zlib.error) as error:
        raise DataError(f"{where} can't be read: {str(error).splitlines()[0]}") from None
    return read_csv(unzip(data, where) if where.endswith(".zip") else data, where)


def _plain(symbol: str) -> str:
    """``BTC/USDT:USDT``, ``BTC_USDT_USDT`` and ``BTC-USDT`` as freqtrade and others write them, made comparable."""
    return re.sub(r"[^A-Z0-9]", "", symbol.upper())
