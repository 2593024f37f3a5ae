"""Bars from a user's own files: Parquet, CSV or feather, in a directory or in the store."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet

from trainer.bars.frame import COLUMNS, Bars
from trainer.errors import DataError
from trainer.storage import Store

_ENDINGS = (".parquet", ".csv", ".csv.gz", ".feather")
_TIME_COLUMNS = ("timestamp", "date", "open_time", "time", "datetime")
_ARCHIVE_COLUMNS = (
    "open_time", "open", "high", "low", "close", "volume", "close_time",
    "quote_volume", "trades", "taker_buy_volume", "taker_buy_quote_volume", "ignore",
)  # fmt: skip


class FilesSource:
    """Files named ``SYMBOL_TIMEFRAME.ending``, ``SYMBOL-TIMEFRAME.ending`` or ``SYMBOL.ending`` in one directory."""

    synthetic = False

    def __init__(self, path: str, store: Store) -> None:
        self.name = f"files:{path}"
        self._folder = Path(path).expanduser()

    def fetch(self, symbol: str, timeframe: str, market: str, start_ms: int, end_ms: int) -> Bars:
        """Rows of the symbol's file with ``start_ms <= open time < end_ms``."""
        plain = symbol.replace("/", "_").replace(":", "_")
        names = [
            f"{stem}{ending}" for stem in (f"{plain}_{timeframe}", f"{plain}-{timeframe}", plain) for ending in _ENDINGS
        ]
        for name in names:
            path = self._folder / name
            if path.is_file():
                bars = read_table(_parse(path.read_bytes(), name), symbol, timeframe, str(path))
                return bars.take((bars.time >= start_ms) & (bars.time < end_ms))
        raise DataError(f"{symbol}: no file {names[0]} (or .csv, .feather) in {self._folder}")


def _parse(data: bytes, name: str) -> pa.Table:
    if name.endswith(".parquet"):
        return pa.parquet.read_table(io.BytesIO(data))
    if name.endswith(".feather"):
        return pa.feather.read_table(io.BytesIO(data))
    return pa.csv.read_csv(io.BytesIO(data))


def read_table(table: pa.Table, symbol: str, timeframe: str, where: str) -> Bars:
    """Bars from a table with a time column and OHLCV by name; other numeric columns are extra."""
    names = {name.lower(): name for name in table.column_names}
    time_name = next((names[name] for name in _TIME_COLUMNS if name in names), None)
    missing = [name for name in COLUMNS if name not in names]
    if time_name is None or missing:
        raise DataError(
            f"{where}: no column {', '.join(missing) or 'timestamp'}; there: {', '.join(table.column_names)}"
        )
    values = np.column_stack([_floats(table[names[name]]) for name in COLUMNS])
    extra = {
        name: _floats(table[name])
        for lower, name in names.items()
        if lower not in COLUMNS and name != time_name and _is_number(table[name].type)
    }
    return Bars(symbol, timeframe, _times(table[time_name]), values, extra)


def _floats(column: Any) -> Any:
    return column.cast(pa.float64()).to_numpy()


def _times(column: Any) -> Any:
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("ms", column.type.tz), safe=False)
    return column.cast(pa.int64()).to_numpy()


def _is_number(kind: Any) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))
