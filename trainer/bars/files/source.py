"""The source ``files:PATH``: a symbol's files in a directory or in the store, found by their names."""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from atb.contract.sources import plain_symbol, validate_symbol
from atb.errors import DataError, DataNotReady
from atb.storage import Store
from atb.storage.fingerprints import file_origin, object_origin
from trainer.bars.bounds import bounded, gunzip, open_zip
from trainer.bars.files.binary import read_feather_file, read_parquet_file
from trainer.bars.files.delimited import read_csv
from trainer.bars.files.table import bars_from_table
from trainer.bars.frame import Bars, join_bars
from trainer.bars.rows import span

_NAME = re.compile(
    r"(?P<symbol>.+?)(?:[-_](?P<timeframe>[1-9][0-9]*[mhdw]))?(?:-(?P<period>[0-9]{4}-[0-9]{2}(?:-[0-9]{2})?)|-futures)?"
    r"\.(?P<kind>(?i:parquet|feather|csv|csv\.gz|zip))"
)
_IN_STORE = "store:"


@dataclass(frozen=True)
class _File:
    """A file that holds a symbol's bars. Files of one ``series`` are the months or days of one download."""

    where: str
    series: tuple[str, ...]
    period: str | None


class FilesSource:
    """Files named by symbol and timeframe: ``BTCUSDT_1h.parquet``, ``BTC_USDT-1h.feather``, ``BTCUSDT-1h-2025-01.csv``.

    ``path`` is a directory, or ``store:`` and a folder of the store. One file answers to a symbol and timeframe, or
    the months and days of one download.
    """

    synthetic = False
    live = False

    def __init__(self, path: str, store: Store) -> None:
        self.name = f"files:{path}"
        self._path = path
        self._store = store

    def fetch(self, symbol: str, timeframe: str, market: str, start_ms: int, end_ms: int) -> Bars:
        """Rows of the symbol's files with ``start_ms <= open time < end_ms``.

        Raises SpecError for a symbol that is not in capitals, DataError, DataNotReady.
        """
        validate_symbol(symbol, self.name, market)
        files = self._matching(symbol, timeframe)
        if not files:
            raise DataError(self._explain_absence(symbol, timeframe))
        parts, origins = [], {}
        for where in files:
            data, (origin, fingerprint) = self._read(where)
            parts.append(bars_from_table(_parse(data, where, symbol, timeframe), symbol, timeframe, where))
            origins[origin] = fingerprint
        bars = join_bars(parts)
        inside = bars.take((bars.time >= start_ms) & (bars.time < end_ms))
        if not len(inside):
            kind = DataNotReady if len(bars) and int(bars.time.max()) < start_ms else DataError
            raise kind(f"{symbol} {timeframe}: {files[-1]} holds {span(bars)}; choose --as-of and --days within it")
        inside.origins.update(origins)
        return inside

    def _matching(self, symbol: str, timeframe: str) -> list[str]:
        """The symbol's files in order. Raises DataError for files of which it can't be known which is meant."""
        found = []
        for where in self._list():
            name = where.rpartition("/")[2]
            match = _NAME.fullmatch(name)
            if match is None or match["timeframe"] not in (timeframe, None) or name.startswith("."):
                continue
            if plain_symbol(match["symbol"]) == plain_symbol(symbol):
                series = (match["symbol"], match["timeframe"] or "", match["kind"].lower())
                found.append(_File(where, series, match["period"]))
        found.sort(key=lambda file: file.where)
        alone = [file for file in found if file.period is None]
        if len({file.series for file in found}) > 1 or (len(found) > 1 and alone):
            other = next(file for file in found[1:] if file.series != found[0].series or alone)
            raise DataError(
                f"{symbol} {timeframe}: {found[0].where} and {other.where} both match; keep only one of them"
            )
        return [file.where for file in found]

    def _explain_absence(self, symbol: str, timeframe: str) -> str:
        stem = f"{plain_symbol(symbol)}_{timeframe}"
        names = [where.rpartition("/")[2] for where in self._list()]
        near = sorted(name for name in names if plain_symbol(name.partition(".")[0]) == plain_symbol(stem))
        hint = f"; {near[0][:80]!a} is there: rename it, or write it as one of these" if near else ""
        return f"{symbol}: no file {stem}.parquet, .feather, .csv, .csv.gz or .zip in {self._path}{hint}"

    def _list(self) -> list[str]:
        if self._path.startswith(_IN_STORE):
            prefix = f"{self._path.removeprefix(_IN_STORE).strip('/')}/"
            return [entry.key for entry in self._store.list(prefix)]
        try:
            folder = Path(self._path).expanduser()
            if not folder.is_dir():
                raise DataError(
                    f"there is no directory {self._path}; name one that exists, or {_IN_STORE}FOLDER for the store"
                )
            return [str(path) for path in folder.iterdir()]
        except (RuntimeError, ValueError) as error:
            raise DataError(f"{self._path!a} is not a directory: {error}; write its path in full") from None
        except OSError as error:
            raise DataError(f"{self._path} can't be read: {error.strerror}; make it a readable directory") from None

    def _read(self, where: str) -> tuple[bytes, tuple[str, str]]:
        if self._path.startswith(_IN_STORE):
            return object_origin(where, self._store)
        try:
            found = Path(where).stat()
            if not stat.S_ISREG(found.st_mode):
                raise DataError(f"{where} is not a plain file; give CSV, Parquet or feather")
            bounded(found.st_size, where)
            return file_origin(Path(where))
        except OSError as error:
            raise DataError(f"{where} can't be read: {error.strerror}; make it a readable file") from None


def _parse(data: bytes, where: str, symbol: str, timeframe: str) -> pa.Table:
    bounded(len(data), where)
    kind = where.rpartition(".")[2].lower()
    if kind == "parquet":
        return read_parquet_file(data, where)
    if kind == "feather":
        return read_feather_file(data, where)
    if kind == "gz":
        data = gunzip(data, where)
    elif kind == "zip":
        name, data = open_zip(data, where)
        _validate_packed(name, where, symbol, timeframe)
    return read_csv(data, where)


def _validate_packed(name: str, where: str, symbol: str, timeframe: str) -> None:
    """Raise DataError for a zip whose file is named as that of another market or timeframe."""
    match = _NAME.fullmatch(name.rpartition("/")[2])
    if match is None or match["timeframe"] is None:
        return
    if match["timeframe"] != timeframe or plain_symbol(match["symbol"]) != plain_symbol(symbol):
        raise DataError(f"{where} holds {name[:80]!a}, which is not {symbol} {timeframe}; zip the right file")
