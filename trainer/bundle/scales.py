"""Where values lie along an axis of a chart, and the ticks that label it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.ticker import LogLocator, MaxNLocator, ScalarFormatter

from trainer.date_axis import date_ticks

Values = npt.NDArray[np.float64]
_MARGIN = 0.05
"""Of the axis' length, kept free at both ends."""
_NOTHING = 1e-12
"""Values that differ by no more than this share of them are drawn as equal."""


@dataclass(frozen=True)
class Scale:
    """An axis from ``low`` to ``high``, with what is written at some values; ``note``: a factor of all labels."""

    low: float
    high: float
    ticks: tuple[float, ...]
    labels: tuple[str, ...]
    log: bool = False
    note: str = ""

    def place(self, values: npt.ArrayLike) -> Values:
        """Shares of the axis' length: 0 at its beginning and 1 at its end."""
        at, low, high = (np.asarray(each, np.float64) for each in (values, self.low, self.high))
        if self.log:
            at, low, high = np.log(at), np.log(low), np.log(high)
        placed: Values = (at - low) / (high - low)
        return placed


def linear_scale(values: Sequence[Values], most_ticks: int, *, whole: bool = False, margin: float = _MARGIN) -> Scale:
    """An axis on which all of ``values`` lie. ``whole``: ticks at integers only."""
    low, high = _reach(values)
    if high - low <= _NOTHING * max(abs(low), abs(high)):
        room = _MARGIN * abs(low) or _MARGIN
        low, high = low - room, high + room
    edge = margin * (high - low)
    low, high = low - edge, high + edge
    locator = MaxNLocator(most_ticks, steps=[1, 2, 2.5, 5, 10], integer=whole, min_n_ticks=1)
    ticks = [float(tick) for tick in locator.tick_values(low, high) if low <= tick <= high]
    form: Any = ScalarFormatter()
    form.create_dummy_axis()
    form.axis.set_view_interval(low, high)
    return Scale(low, high, tuple(ticks), tuple(form.format_ticks(ticks)), note=form.get_offset())


def log_scale(values: Sequence[Values]) -> Scale:
    """A logarithmic axis for positive ``values``, with numbers as people write them: 0.2 and not a power of ten."""
    low, high = np.log(_reach(values))
    if low == high:
        low, high = low - 1.0, high + 1.0
    edge = _MARGIN * (high - low)
    low, high = float(np.exp(low - edge)), float(np.exp(high + edge))
    found = LogLocator(subs=(1.0, 2.0, 5.0), numticks=8).tick_values(low, high)
    ticks = tuple(float(tick) for tick in found if low <= tick <= high)
    return Scale(low, high, ticks, tuple(f"{tick:g}" for tick in ticks), log=True)


def date_scale(at: npt.NDArray[np.datetime64]) -> Scale:
    """An axis of instants; values are seconds since 1970."""
    seconds = to_seconds(at)
    low, high = float(seconds.min()), float(seconds.max())
    if low == high:
        low, high = low - 43_200, high + 43_200
    else:
        edge = _MARGIN * (high - low)
        low, high = low - edge, high + edge
    ticks, labels = date_ticks(at.min(), at.max())
    return Scale(low, high, tuple(to_seconds(ticks).tolist()), tuple(labels))


def to_seconds(at: npt.NDArray[np.datetime64]) -> Values:
    """Seconds since 1970, with their fractions."""
    seconds: Values = at.astype("datetime64[ms]").astype(np.int64) / 1000
    return seconds


def _reach(values: Sequence[Values]) -> tuple[float, float]:
    known = np.concatenate([np.ravel(each) for each in values])
    return float(known.min()), float(known.max())
