"""What the times of raw rows reveal: their timeframe, and their offset from the requested grid."""

from __future__ import annotations

import numpy as np

from atb.contract import timeframe as tf
from trainer.bars.frame import Bars, Times

MOST_OFF_GRID = 0.01
"""A larger share of rows off the grid is not an exchange's slip: these are not the requested rows."""

_FEWEST_DIFFERENT, _FEWEST_ROWS = 0.0005, 10
"""With a smaller share of rows that differ from the one before, or fewer, the price did not move. Daily bars on a grid
of minutes have 1 of 1,440."""
_REGULAR = 0.75
"""The share of equal distances that shows spread bars. A lone trade makes two rows differ, its own and the next, so of
a quiet market's distances about half are one step."""

_SECOND_MS, _MINUTE_MS, _HOUR_MS, _DAY_MS = 1_000, 60_000, 3_600_000, 86_400_000
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_UNITS = (("w", 7 * _DAY_MS), ("d", _DAY_MS), ("h", _HOUR_MS), ("m", _MINUTE_MS), ("s", _SECOND_MS), ("ms", 1))


def find_spacing(bars: Bars) -> int | None:
    """The most common distance in milliseconds between neighbours in order of time; None for fewer than two.

    Where rows differ from the one before at regular distances only, those are meant: longer bars that were spread over
    a finer grid are still longer bars.
    """
    differs = np.ones(len(bars), np.bool_)
    differs[1:] = (bars.values[1:] != bars.values[:-1]).any(axis=1)
    if np.count_nonzero(differs) >= max(_FEWEST_ROWS, _FEWEST_DIFFERENT * len(bars)):
        spacing, share = _find_most_common(np.diff(bars.time[differs]))
        if share >= _REGULAR:
            return spacing
    return _find_most_common(np.diff(bars.time))[0]


def _find_most_common(steps: Times) -> tuple[int | None, float]:
    """The most common step above 0, and its share of those."""
    steps = steps[steps > 0]
    if not len(steps):
        return None, 0.0
    distances, counts = np.unique(steps, return_counts=True)
    most = int(np.argmax(counts))
    return int(distances[most]), float(counts[most] / len(steps))


def find_shift(time: Times, timeframe: str) -> int | None:
    """By how many milliseconds nearly all rows lie after a point of the grid; None where they differ."""
    if not len(time):
        return None
    shifts, counts = np.unique((time - tf.grid_offset_ms(timeframe)) % tf.to_ms(timeframe), return_counts=True)
    most = int(np.argmax(counts))
    return int(shifts[most]) if counts[most] >= (1 - MOST_OFF_GRID) * len(time) else None


def describe_length(length_ms: int) -> str:
    """A length as a timeframe is written: ``5m``, ``1h``; one of several units in its largest whole one."""
    for unit, unit_ms in _UNITS:
        if length_ms % unit_ms == 0:
            return f"{length_ms // unit_ms}{unit}"
    raise AssertionError


def explain_timeframe(spacing_ms: int, timeframe: str, *, spread: bool = False) -> str:
    """The end of a refusal of rows that lie ``spacing_ms`` apart; ``spread``: with copies of each in between."""
    rows = describe_length(spacing_ms)
    take = f"take --timeframe {rows}, or " if spacing_ms % _MINUTE_MS == 0 else ""
    if spacing_ms < tf.to_ms(timeframe):
        return (
            f"the rows are {rows} bars, not {timeframe}; {take}make {timeframe} bars of them first (the first open, "
            "the highest high, the lowest low, the last close, the sum of volumes)"
        )
    copies = ", each written several times" if spread else ""
    return f"the rows are {rows} bars{copies}, not {timeframe}; {take}give {timeframe} bars"


def explain_shift(shift_ms: int, timeframe: str) -> str:
    """The end of a refusal of rows that all lie off the grid by ``shift_ms``: by how much, and what that usually is."""
    step = tf.to_ms(timeframe)
    before = step - shift_ms
    if before <= _SECOND_MS or (before == _MINUTE_MS and step > 2 * _MINUTE_MS):
        return (
            f"they lie {describe_length(before)} before the {timeframe} grid, as closing times do: bars are named by "
            "the time they open; subtract the bar's length, or name the column that has the opening times timestamp"
        )
    if timeframe.endswith(("d", "w")):
        at = f"{shift_ms % _DAY_MS // _HOUR_MS:02}:{shift_ms % _HOUR_MS // _MINUTE_MS:02} UTC"
        bars, begin = "days", "00:00 UTC"
        if timeframe.endswith("w"):
            bars, begin, at = "weeks", "Monday 00:00 UTC", f"{_WEEKDAYS[shift_ms // _DAY_MS % 7]} {at}"
        return (
            f"they lie {describe_length(shift_ms)} after the {timeframe} grid: these {bars} begin at {at}, and {bars} "
            f"here begin at {begin}; make them of hourly bars, or of a source whose {bars} begin so"
        )
    return (
        f"they lie {describe_length(shift_ms)} after the {timeframe} grid, as times of another zone or another "
        "beginning do; give times in UTC, or bars that begin on the grid"
    )
