"""Dates below a chart, each complete by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.dates import date2num

_STEPS_HOURS = (1, 2, 3, 6, 12, 24, 48, 72, 168, 336)
_STEPS_MONTHS = (1, 2, 3, 6, 12, 24, 60)
_MOST_TICKS = 6


def set_date_axis(axes: Any, at: npt.NDArray[np.datetime64]) -> None:
    """Evenly spaced dates, each complete by itself, over hours or years."""
    hour = np.timedelta64(1, "h")
    first, last = at[0], at[-1]
    if first == last:
        first, last = first - 12 * hour, last + 12 * hour
        axes.set_xlim(first, last)
    ticks, labels = date_ticks(first, last)
    axes.set_xticks(date2num(ticks), labels)
    axes.set_xlabel("UTC", fontsize=8)


def date_ticks(first: np.datetime64, last: np.datetime64) -> tuple[npt.NDArray[np.datetime64], list[str]]:
    """At most a few instants between two, and how they are written."""
    ticks, form = _choose_ticks(first, last)
    return ticks, [f"{each.astype(object):{form}}" for each in ticks]


def _choose_ticks(first: np.datetime64, last: np.datetime64) -> tuple[npt.NDArray[np.datetime64], str]:
    begin, end = first.astype("datetime64[s]"), last.astype("datetime64[s]")
    low, high = int(begin.astype(np.int64)), int(end.astype(np.int64))
    for hours in _STEPS_HOURS:
        seconds = hours * 3_600
        ticks = np.arange(-(-low // seconds), high // seconds + 1) * seconds
        if len(ticks) <= _MOST_TICKS:
            return ticks.astype("datetime64[s]"), "%d %b %H:%M" if hours < 24 else "%d %b %Y"
    months = np.arange(begin.astype("datetime64[M]") + 1, end.astype("datetime64[M]") + 1)
    for step in _STEPS_MONTHS:
        chosen = months[months.astype(np.int64) % step == 0]
        if len(chosen) <= _MOST_TICKS:
            break
    return chosen.astype("datetime64[s]"), "%b %Y"
