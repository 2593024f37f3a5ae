"""Tables of bars as the world writes them: with a header or none, times in any unit, under several names."""

from __future__ import annotations

import io
import zipfile
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv

from atb.contract import timeframe as tf
from atb.errors import DataError
from trainer.bars.columns import array_of
from trainer.bars.frame import COLUMNS, Bars, Floats, Times

ARCHIVE_COLUMNS = (
    "open_time", "open", "high", "low", "close", "volume", "close_time",
    "quote_volume", "trades", "taker_buy_volume", "taker_buy_quote_volume", "ignore",
)  # fmt: skip
"""The 12 columns of Binance's archives and REST answers; archives with a header spell some of them otherwise."""

_TIME_NAMES = ("timestamp", "date", "open_time", "time", "datetime")
_OTHER_SPELLINGS = {"count": "trades", "taker_buy_base_volume": "taker_buy_volume"}
_NOT_EXTRA = ("close_time", "ignore")
_EARLIEST_MS, _LATEST_MS = 1_230_768_000_000, 4_102_444_800_000
"""2009 to 2100: a time outside of it is a time in another unit."""


def read_csv(data: bytes, where: str) -> pa.Table:
    """The table in a CSV; one that begins with a digit has no header and the archive's columns. Raises DataError."""
    headless = data[:1].isdigit()
    try:
        return pa.csv.read_csv(
            io.BytesIO(data),
            read_options=pa.csv.ReadOptions(column_names=list(ARCHIVE_COLUMNS) if headless else None),
        )
    except pa.ArrowInvalid as error:
        raise DataError(f"{where} is not a table of bars: {str(error).splitlines()[0]}") from None


def unzip(data: bytes, where: str) -> bytes:
    """The first file in a zip. Raises DataError for a broken one."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return archive.read(archive.namelist()[0])
    except (zipfile.BadZipFile, zlib.error, IndexError, EOFError, NotImplementedError, RuntimeError) as error:
        raise DataError(f"{where} is not a whole zip: {error}") from None


def bars_from_table(table: pa.Table, symbol: str, timeframe: str, where: str) -> Bars:
    """Bars from a time column and open, high, low, close, volume by name; other numeric columns become extra.

    Raises DataError for a missing column, one that is not numeric, or times outside 2009 to 2100 in every unit.
    """
    names = {_OTHER_SPELLINGS.get(name.lower(), name.lower()): name for name in table.column_names}
    time_name = next((name for name in _TIME_NAMES if name in names), None)
    absent = [name for name in COLUMNS if name not in names]
    if time_name is None or absent:
        raise DataError(
            f"{where}: no column {', '.join(absent) or 'timestamp'}; there are {', '.join(table.column_names)}"
        )
    values = np.column_stack([_floats(table[names[name]], f"{where}: column {name}") for name in COLUMNS])
    extra = {
        name: _floats(table[spelled], f"{where}: column {name}")
        for name, spelled in names.items()
        if name not in (*COLUMNS, *_TIME_NAMES, *_NOT_EXTRA) and _is_number(table[spelled].type)
    }
    return Bars(symbol, timeframe, _times(table[names[time_name]], where), values, extra)


def bars_from_rows(rows: list[list[Any]], names: tuple[str, ...], symbol: str, timeframe: str, where: str) -> Bars:
    """Bars from rows of a JSON answer, whose columns are ``names`` with open_time first. Raises DataError."""
    try:
        numbers = np.array(rows, dtype=np.float64).reshape(-1, len(names))
    except (ValueError, TypeError):
        raise DataError(f"{where} did not answer with rows of {len(names)} numbers") from None
    columns = {name: np.ascontiguousarray(numbers[:, number]) for number, name in enumerate(names)}
    return Bars(
        symbol,
        timeframe,
        times_in_ms(columns["open_time"].astype(np.int64), where),
        np.column_stack([columns[name] for name in COLUMNS]),
        {name: columns[name] for name in names if name not in (*COLUMNS, *_TIME_NAMES, *_NOT_EXTRA)},
    )


def times_in_ms(times: npt.NDArray[np.int64], where: str) -> Times:
    """Times since 1970 in seconds, milliseconds, microseconds or nanoseconds, told apart by size, in milliseconds.

    Raises DataError where one lies outside 2009 to 2100 in each of them.
    """
    units = [(10**11, 1000, 1), (10**14, 1, 1), (10**17, 1, 1_000), (2**63 - 1, 1, 1_000_000)]
    milliseconds: Times = np.select([times < top for top, _, _ in units], [times * by // to for _, by, to in units])
    wrong = (milliseconds < _EARLIEST_MS) | (milliseconds >= _LATEST_MS)
    if wrong.any():
        raise DataError(f"{where}: the time {times[wrong][0]} is in no unit between 2009 and 2100")
    return milliseconds


def _floats(column: pa.ChunkedArray, where: str) -> Floats:
    try:
        numbers: Floats = array_of(column.cast(pa.float64()))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(f"{where} is not numeric: {str(error).splitlines()[0]}") from None
    return numbers


def _times(column: pa.ChunkedArray, where: str) -> Times:
    kind = column.type
    if column.null_count:
        raise DataError(f"{where}: {column.null_count} rows have no time")
    try:
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            column = column.cast(pa.timestamp("ms", "UTC"))
        if pa.types.is_date(kind):
            column = column.cast(pa.timestamp("ms"))
        if pa.types.is_timestamp(column.type):
            whole: Times = array_of(column.cast(pa.timestamp("ms", column.type.tz), safe=False).cast(pa.int64()))
            return times_in_ms(whole, where)
        return times_in_ms(array_of(column.cast(pa.int64())), where)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(f"{where}: the times can't be read: {str(error).splitlines()[0]}") from None


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def span(bars: Bars) -> str:
    """From when to when, for people."""
    if not len(bars):
        return "no bars"
    first, last = (tf.from_epoch_ms(int(bars.time[row])) for row in (0, -1))
    return f"{first:%Y-%m-%d %H:%M} … {last:%Y-%m-%d %H:%M}"
