"""Rows as exchanges write them: their columns, and times in any unit."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from atb.contract import timeframe as tf
from atb.errors import DataError
from trainer.bars.frame import COLUMNS, Bars, Times

ARCHIVE_COLUMNS = (
    "open_time", "open", "high", "low", "close", "volume", "close_time",
    "quote_volume", "trades", "taker_buy_volume", "taker_buy_quote_volume", "ignore",
)  # fmt: skip
"""The 12 columns of Binance's archives and REST answers; archives with a header spell some of them otherwise."""

NOT_EXTRA = ("close_time", "ignore")
"""Columns that say nothing about a bar."""
_EARLIEST_MS, _LATEST_MS = 1_230_768_000_000, 4_102_444_800_000
"""2009 to 2100: a time outside of it is a time in another unit."""
_SECONDS_END, _MICROSECONDS, _NANOSECONDS = 10**11, 10**14, 10**17


def bars_from_rows(rows: list[list[Any]], names: tuple[str, ...], symbol: str, timeframe: str, where: str) -> Bars:
    """Bars from rows of a JSON answer, whose columns are ``names`` with open_time first. Raises DataError."""
    try:
        numbers = np.array(rows, dtype=np.float64).reshape(-1, len(names))
    except (ValueError, TypeError):
        raise DataError(f"{where} did not answer with rows of {len(names)} numbers") from None
    columns = {name: np.ascontiguousarray(numbers[:, number]) for number, name in enumerate(names)}
    with np.errstate(invalid="ignore"):  # a time that is no number is none of a bar either
        times = columns["open_time"].astype(np.int64)
    return Bars(
        symbol,
        timeframe,
        times_in_ms(times, where),
        np.column_stack([columns[name] for name in COLUMNS]),
        {name: columns[name] for name in names if name not in (*COLUMNS, "open_time", *NOT_EXTRA)},
    )


def times_in_ms(times: npt.NDArray[np.int64], where: str) -> Times:
    """Times since 1970 in seconds, milliseconds, microseconds or nanoseconds, recognised by size, in milliseconds.

    Raises DataError where one lies outside 2009 to 2100 in each of them.
    """
    milliseconds: Times = np.where(times < _SECONDS_END, times * 1000, times)
    for begin, by in ((_MICROSECONDS, 1_000), (_NANOSECONDS, 1_000_000)):
        if (times >= begin).any():
            milliseconds = np.where(times >= begin, times // by, milliseconds)
    wrong = (milliseconds < _EARLIEST_MS) | (milliseconds >= _LATEST_MS)
    if wrong.any():
        raise DataError(
            f"{where}: the time {times[wrong][0]} is in no unit between 2009 and 2100; write 2026-01-31 06:00, or "
            "milliseconds since 1970"
        )
    return milliseconds


def span(bars: Bars) -> str:
    """From when to when, for people."""
    if not len(bars):
        return "no bars"
    first, last = (tf.from_epoch_ms(int(bars.time[row])) for row in (0, -1))
    return f"{first:%Y-%m-%d %H:%M} … {last:%Y-%m-%d %H:%M}"
