"""A column of times, as the world writes them, in milliseconds UTC."""

from __future__ import annotations

import re
from contextlib import suppress

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from atb.errors import DataError
from trainer.bars.columns import array_of
from trainer.bars.frame import Times
from trainer.bars.rows import times_in_ms

_DAY_MS = 86_400_000
_NUMBER = r"^\s*\d{9,19}(\.0*)?\s*$"
_UTC = r"\s*(UTC|GMT|Z|z)$"
_ZONE = r"([+-]\d\d:?\d\d|Z)$"
_DAY_FIRST = re.compile(r"(\d{1,2})[./-](\d{1,2})[./-](\d{4}|\d\d)\b.*")
_SHOWN = 40


def is_date(column: pa.ChunkedArray) -> bool:
    """Whether it holds days without a time of day."""
    column = plain_column(column)
    if pa.types.is_date(column.type):
        return True
    return is_text(column.type) and _all_match(column, r"^\s*\d{4}[-/]\d\d[-/]\d\d\s*$")


def is_time_of_day(column: pa.ChunkedArray) -> bool:
    """Whether it holds times of day without a day."""
    column = plain_column(column)
    if pa.types.is_time(column.type):
        return True
    return is_text(column.type) and _all_match(column, r"^\s*\d\d:\d\d(:\d\d(\.\d+)?)?\s*$")


def read_time_of_day(column: pa.ChunkedArray, where: str) -> Times:
    """Milliseconds after midnight. Raises DataError."""
    column = plain_column(column)
    if column.null_count:
        raise DataError(f"{where}: {column.null_count} of {len(column)} rows have no time")
    try:
        if is_text(column.type):
            text = pc.utf8_trim_whitespace(column)
            text = pc.if_else(pc.equal(pc.utf8_length(text), 5), pc.binary_join_element_wise(text, "00", ":"), text)
            column = text.cast(pa.time64("us"))
        column = column.cast(pa.time64("us")).cast(pa.int64())
    except pa.ArrowException as error:
        raise DataError(f"{where}: the times of day can't be read: {_first_line(error)}") from None
    whole: Times = array_of(column) // 1000
    return whole


def read_times(column: pa.ChunkedArray, where: str) -> Times:
    """Times since 1970 in milliseconds, int64 ``[n]``, from text, dates, or numbers of any unit. Raises DataError."""
    column = plain_column(column)
    if column.null_count:
        raise DataError(f"{where}: {column.null_count} of {len(column)} rows have no time")
    try:
        if is_text(column.type):
            column = _read_text(column, where)
        if pa.types.is_date(column.type):
            column = column.cast(pa.timestamp("ms"))
        if pa.types.is_timestamp(column.type):
            whole: Times = array_of(column.cast(pa.timestamp("ms", column.type.tz), safe=False).cast(pa.int64()))
            return times_in_ms(whole, where)
        return times_in_ms(array_of(column.cast(pa.int64())), where)
    except (pa.ArrowException, OverflowError, ValueError) as error:
        raise DataError(f"{where}: the times can't be read: {_first_line(error)}") from None


def plain_column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column without a dictionary, and bytes as the text that they are."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        with suppress(pa.ArrowInvalid):
            return column.cast(pa.string())
    return column


def is_text(kind: pa.DataType) -> bool:
    """Whether a type is text of any layout."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _read_text(column: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
    text = pc.utf8_trim_whitespace(column.cast(pa.string()))
    if _all_match(text, _NUMBER):
        return pc.replace_substring_regex(text, r"\.0*$", "").cast(pa.int64())
    text = pc.replace_substring_regex(pc.replace_substring_regex(text, r"^(\d{4})/(\d\d)/", r"\1-\2-"), _UTC, "Z")
    for kind in (pa.timestamp("us", "UTC"), pa.timestamp("us")):
        try:
            return text.cast(kind)
        except pa.ArrowInvalid:
            continue
    raise DataError(f"{where}: {_explain(pc.utf8_trim_whitespace(column.cast(pa.string())))}")


def _explain(text: pa.ChunkedArray) -> str:
    """Why a column of text does not hold times."""
    values = text.slice(0, 1000).to_pylist()
    odd = next((value for value in values if _DAY_FIRST.fullmatch(value)), None)
    if odd is not None:
        first, second, _ = _DAY_FIRST.fullmatch(odd).groups()  # type: ignore[union-attr]
        return (
            f"which of {first} and {second} is the day in a time like {odd[:_SHOWN]!a} is unclear; write the "
            "year first, as in 2026-01-31 06:00"
        )
    numbers, dates = (pc.match_substring_regex(text, pattern) for pattern in (_NUMBER, r"^\d{4}[-/]\d\d[-/]\d\d"))
    other = text.filter(pc.invert(pc.or_(numbers, dates))).slice(0, 1).to_pylist()
    if other and (pc.any(numbers).as_py() or pc.any(dates).as_py()):
        return f"a row has {other[0][:_SHOWN]!a} where others have a time; leave it out of the file"
    zoned = [bool(re.search(_ZONE, value)) for value in values]
    if any(zoned) and not all(zoned):
        return (
            f"the times can't be read: some have a zone and some have none, like "
            f"{values[zoned.index(False)][:_SHOWN]!a}; write all in UTC"
        )
    if pc.any(numbers).as_py():
        shown = text.filter(pc.invert(numbers))[0].as_py()
        return f"some times are numbers and some are text, like {shown[:_SHOWN]!a}; write all in one way"
    shown = (other or values)[0]
    return f"the times can't be read, like {shown[:_SHOWN]!a}; write 2026-01-31 06:00 in UTC, or milliseconds"


def combine(days: Times, of_day: Times) -> Times:
    """A day's beginning and a time of day as one time."""
    found: Times = np.asarray(days // _DAY_MS * _DAY_MS + of_day, np.int64)
    return found


def same_day(days: Times, times: Times) -> bool:
    """Whether each time lies in the day beside it."""
    return bool((times // _DAY_MS * _DAY_MS == days).all())


def _all_match(column: pa.ChunkedArray, pattern: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(column.cast(pa.string()), pattern)).as_py())


def _first_line(error: BaseException) -> str:
    return ascii(str(error).splitlines()[0][:120] if str(error) else type(error).__name__)[1:-1]
