"""The source ``files:PATH``: a symbol's files in a directory or in the store, found by their names."""

from __future__ import annotations

import stat
from pathlib import Path

import numpy as np
import pyarrow as pa

from atb.contract.sources import plain_symbol, validate_symbol
from atb.errors import DataError, DataNotReady
from atb.storage import Store
from atb.storage.bar_files import IN_STORE, BarFile, BarFolders, list_files, parse_name
from atb.storage.fingerprints import file_origin, folder_origin, object_origin
from trainer.bars.bounds import bounded, gunzip, open_zip
from trainer.bars.files.binary import read_feather_file, read_parquet_file
from trainer.bars.files.delimited import read_csv
from trainer.bars.files.table import bars_from_table
from trainer.bars.frame import Bars, join_bars
from trainer.bars.rows import span


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
        parts, ends, origins = [], [], dict([folder_origin(self._path, symbol, timeframe, files)])
        for where in (file.where for file in files):
            part, (origin, fingerprint) = self._read_bars(where, symbol, timeframe)
            origins[origin] = fingerprint
            wanted = (part.time >= start_ms) & (part.time < end_ms)
            ends.append(part.take(np.array([part.time.argmin(), part.time.argmax()])) if len(part) else part)
            parts.append(part if wanted.all() else part.take(wanted))
        inside, found = join_bars(parts), join_bars(ends)
        if not len(inside):
            kind = DataNotReady if len(found) and int(found.time.max()) < start_ms else DataError
            raise kind(
                f"{symbol} {timeframe}: {files[-1].where} holds {span(found)}; choose --as-of and --days within it"
            )
        inside.origins.update(origins)
        return inside

    def _matching(self, symbol: str, timeframe: str) -> list[BarFile]:
        """The symbol's files in order. Raises DataError for files of which it can't be known which is meant."""
        found = BarFolders(self._store).answering(self._path, symbol, timeframe)
        alone = [file for file in found if file.period is None]
        if len({file.series for file in found}) > 1 or (len(found) > 1 and alone):
            other = next(file for file in found[1:] if file.series != found[0].series or alone)
            raise DataError(
                f"{symbol} {timeframe}: {found[0].where} and {other.where} both match; keep only one of them"
            )
        return found

    def _explain_absence(self, symbol: str, timeframe: str) -> str:
        stem = f"{plain_symbol(symbol)}_{timeframe}"
        names = [where.rpartition("/")[2] for where in list_files(self._path, self._store)]
        near = sorted(name for name in names if plain_symbol(name.partition(".")[0]) == plain_symbol(stem))
        hint = f"; {near[0][:80]!a} is there: rename it, or write it as one of these" if near else ""
        return f"{symbol}: no file {stem}.parquet, .feather, .csv, .csv.gz or .zip in {self._path}{hint}"

    def _read_bars(self, where: str, symbol: str, timeframe: str) -> tuple[Bars, tuple[str, str]]:
        data, origin = self._read(where)
        table = _parse(data, where, symbol, timeframe)
        del data  # which can be as large as the table, and the bars
        return bars_from_table(table, symbol, timeframe, where), origin

    def _read(self, where: str) -> tuple[bytes, tuple[str, str]]:
        if self._path.startswith(IN_STORE):
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
    packed = parse_name(name)
    if packed is None or packed.timeframe is None:
        return
    if packed.timeframe != timeframe or packed.market != plain_symbol(symbol):
        raise DataError(f"{where} holds {name[:80]!a}, which is not {symbol} {timeframe}; zip the right file")
