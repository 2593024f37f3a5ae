"""Bars from a table whose columns have names: each with one meaning, or refused with the column's name."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from atb.contract import timeframe as tf
from atb.contract.sources import plain_symbol
from atb.errors import DataError
from trainer.bars.columns import array_of
from trainer.bars.files.columns import (
    CLOSE_NAMES,
    FINISHED_NAMES,
    INDEX_NAMES,
    PART_NAMES,
    SERIES_NAMES,
    SYMBOL_NAMES,
    TIME_NAMES,
    TIMEFRAME_NAMES,
    find_column,
    find_times,
    find_volume,
    plain_name,
    refuse_absent,
    show_names,
)
from trainer.bars.files.times import (
    combine,
    is_date,
    is_text,
    is_time_of_day,
    plain_column,
    read_time_of_day,
    read_times,
    same_day,
)
from trainer.bars.frame import COLUMNS, Bars, Floats, Times
from trainer.bars.grid import describe_length
from trainer.bars.rows import NOT_EXTRA

_OTHER_SPELLINGS = {
    "count": "trades",
    "number_of_trades": "trades",
    "quote_asset_volume": "quote_volume",
    "taker_buy_base_volume": "taker_buy_volume",
    "taker_buy_base_asset_volume": "taker_buy_volume",
    "taker_buy_quote_asset_volume": "taker_buy_quote_volume",
}
_NOT_EXTRA = {*COLUMNS, *TIME_NAMES, *INDEX_NAMES, *CLOSE_NAMES, *NOT_EXTRA}
_MOST_MARKETS = 1_000
_UNITS_MS = (1, 1_000, 60_000, 3_600_000, 86_400_000)


def bars_from_table(table: pa.Table, symbol: str, timeframe: str, where: str) -> Bars:
    """Bars from a time column and open, high, low, close, volume by name; other numeric columns become extra.

    Of several markets' rows those of the symbol are taken. Raises DataError for a column that is missing, there twice,
    not numeric, or of a meaning that can't be known, and for times outside 2009 to 2100 in every unit.
    """
    names = list(table.column_names)
    found = {name: find_column(names, name, where) for name in COLUMNS[:-1]}
    found[COLUMNS[-1]] = find_volume(names, symbol, where)
    times = find_times(names)
    absent = [name for name, number in (*found.items(), ("timestamp", times[0] if times else None)) if number is None]
    if absent:
        raise refuse_absent(names, absent, where)
    table = _select_finished(_select_market(table, names, symbol, timeframe, where), names, where)
    opened = _times(table, names, times, where)
    taken = {name: number for name, number in found.items() if number is not None}
    values = np.empty((table.num_rows, len(COLUMNS)))
    for place, name in enumerate(COLUMNS):  # one after the other: a file can have millions of rows
        values[:, place] = _floats(table.column(taken[name]), f"{where}: column {name}")
    extra = {
        name: _floats(table.column(number), f"{where}: column {name}")
        for name, number in _extra_columns(table, names, set(taken.values())).items()
    }
    _validate_closes(table, names, opened, timeframe, where)
    return Bars(symbol, timeframe, opened, values, extra)


def _extra_columns(table: pa.Table, names: list[str], taken: set[int]) -> dict[str, int]:
    """The numeric columns beside the bars', by name; a name that two of them share is left out."""
    found: dict[str, list[int]] = {}
    for number, name in enumerate(names):
        plain = plain_name(name)
        if number not in taken and plain not in _NOT_EXTRA and _is_number(table.column(number).type):
            known = _OTHER_SPELLINGS.get(plain, plain if plain in _OTHER_SPELLINGS.values() else name.lower())
            found.setdefault(known, []).append(number)
    return {name: numbers[0] for name, numbers in found.items() if len(numbers) == 1}


def _select_market(table: pa.Table, names: list[str], symbol: str, timeframe: str, where: str) -> pa.Table:
    """The rows of the symbol and timeframe, where a column names them. Raises DataError for none, and for rows of
    several series that can't be told apart."""
    # what is asked for is selected first: a market's own name and base are the same in all of its rows
    for number, name in sorted(enumerate(names), key=lambda each: plain_name(each[1]) in SERIES_NAMES):
        plain, kind = plain_name(name), plain_column(table.column(number)).type
        is_symbol, is_timeframe = plain in SYMBOL_NAMES, plain in TIMEFRAME_NAMES
        text, numeric = is_text(kind), _is_number(kind)
        if not (text and plain in SERIES_NAMES) and not ((text or numeric) and (is_symbol or is_timeframe)):
            continue
        column = plain_column(table.column(number)).cast(pa.string())
        there = [str(value) for value in pc.unique(column).to_pylist()[:_MOST_MARKETS]]
        if not is_timeframe and (numeric or not is_symbol):
            if len(there) > 1:
                shown = show_names(there)
                raise DataError(
                    f"{where}: column {show_names([name])} holds rows of {shown}; give a file of one of them"
                )
            if plain in PART_NAMES and there and plain_symbol(there[0]) not in plain_symbol(symbol):
                raise DataError(
                    f"{where}: column {show_names([name])} holds {show_names(there)}, which is no part of {symbol}; "
                    f"give the file of {symbol}, or leave the column out"
                )
            continue
        wanted = symbol if is_symbol else timeframe
        matching = [value for value in there if _same(value, wanted, is_symbol=is_symbol)]
        if not matching:
            raise DataError(f"{where}: column {show_names([name])} holds {show_names(there)} and no {wanted}")
        if len(matching) > 1:
            raise DataError(
                f"{where}: column {show_names([name])} holds {show_names(matching)}, which all mean {wanted}; keep one"
            )
        if len(there) > 1:
            table = table.filter(pc.fill_null(pc.equal(column, matching[0]), False))
    return table


def _select_finished(table: pa.Table, names: list[str], where: str) -> pa.Table:
    """The rows without those that a column marks as unfinished: 0 or false where others are 1 or true. Raises DataError
    where it marks all of several: a new month's only row may be unfinished."""
    for number, name in enumerate(names):
        if plain_name(name) in FINISHED_NAMES:
            marks = pc.utf8_lower(plain_column(table.column(number)).cast(pa.string()))
            if {str(mark) for mark in pc.unique(marks).to_pylist()[:_MOST_MARKETS]} <= {"0", "1", "true", "false"}:
                finished = pc.is_in(marks, pa.array(["1", "true"]))
                if len(table) > 1 and not pc.any(finished).as_py():
                    raise DataError(f"{where}: column {show_names([name])} marks every row as unfinished")
                table = table.filter(finished)
    return table


def _same(value: str, wanted: str, *, is_symbol: bool) -> bool:
    """A timeframe may also be a number of any unit."""
    if is_symbol:
        return plain_symbol(value) == plain_symbol(wanted)
    numbers = {str(tf.to_ms(wanted) // unit) for unit in _UNITS_MS if tf.to_ms(wanted) % unit == 0}
    return value.strip().removesuffix(".0") in {wanted, *numbers}


def _validate_closes(table: pa.Table, names: list[str], opened: Times, timeframe: str, where: str) -> None:
    """Raise DataError where a column of closing times contradicts the opening times, or the timeframe."""
    for number, name in enumerate(names):
        if plain_name(name) not in CLOSE_NAMES or is_date(table.column(number)) or not len(opened):
            continue
        try:
            closed = read_times(table.column(number), where)
        except DataError:  # nothing is taken from it
            continue
        column = f"{where}: by the column {show_names([name])}"
        length, step = round(float(np.median(closed - opened)) / 1000) * 1000, tf.to_ms(timeframe)
        if length <= 0:
            raise DataError(
                f"{column} the rows are named by the time they close; bars are named by the time they open: subtract "
                "the bar's length"
            )
        if abs(length - step) > step // 100:
            raise DataError(
                f"{column} each row lasts {describe_length(length)}, not {timeframe}; give {timeframe} bars"
            )


def _times(table: pa.Table, names: list[str], numbers: list[int], where: str) -> Times:
    """The opening times: one column, a day and a time of day, or several columns that agree. Raises DataError."""
    days = [number for number in numbers if is_date(table.column(number))]
    clocks = [number for number in numbers if is_time_of_day(table.column(number))]
    if len(numbers) == 2 and len(days) == len(clocks) == 1:
        return combine(read_times(table.column(days[0]), where), read_time_of_day(table.column(clocks[0]), where))
    first, *others = sorted(numbers, key=lambda number: number in days)
    times = read_times(table.column(first), f"{where}: column {show_names([names[first]])}" if others else where)
    for other in others:
        again = read_times(table.column(other), f"{where}: column {show_names([names[other]])}")
        if not ((times == again).all() or (other in days and same_day(again, times))):
            raise DataError(
                f"{where}: columns {show_names([names[first], names[other]])} both hold times, and not the same ones; "
                "keep the one of opening times"
            )
    return times


def _floats(column: pa.ChunkedArray, where: str) -> Floats:
    column = plain_column(column)
    if pa.types.is_decimal(column.type):
        column = column.cast(pa.string())  # which is read to the nearest number; Arrow's own conversion is not always
    try:
        numbers: npt.NDArray[np.float64] = array_of(column.cast(pa.float64()))
    except (pa.ArrowException, OverflowError) as error:
        reason = ascii(str(error).splitlines()[0][:120])[1:-1]
        raise DataError(f"{where} is not numeric: {reason}; write numbers with a decimal point") from None
    return numbers


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))
