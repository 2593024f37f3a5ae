"""Volatility from the range of each bar, and the columns of the feature set ``volatility``.

A bar's variance is Parkinson's (1980, "The extreme value method for estimating the variance of the rate of return"):
``log(high/low)² / (4·log 2)``, in squared log-return per bar. What happens between one bar's close and the next one's
open is not in it. Volatility over several bars is the root of the mean of their variances, again per bar.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from trainer.bars.frame import HIGH, LOW, VOLUME, Bars, Floats, Times
from trainer.features import indicators

WINDOWS = (1, 4, 24, 168)
"""The bars that volatility is taken over: on hourly bars an hour, four hours, a day and a week."""
RANGE_FLOOR = 1e-4
"""A bar's log range below one basis point counts as one: ticks and spreads are of that size, and log 0 is nothing."""
VARIANCE_FLOOR = RANGE_FLOOR**2 / (4 * math.log(2))
MEMORY = max(WINDOWS)
WARMUP = MEMORY - 1
VOLUME_BARS = 24
RETURN_BOUND = 10.0
"""A return is cut at this many deviations: a bar after a day without trades would else outweigh all others."""
DAY_MS = 86_400_000
_MONDAY_MS = 4 * DAY_MS
"""The epoch is a Thursday."""
WAVES: tuple[tuple[str, int, int], ...] = (
    *((f"day_{number}", DAY_MS // number, 0) for number in (1, 2, 3, 4)),
    ("week", 7 * DAY_MS, _MONDAY_MS),
)
"""Name, period and offset in milliseconds of each pair of waves. Four of the day tell hours apart as well as 24
constants would, at a third of their number."""
LOG_VOLATILITIES = tuple(f"log_volatility_{window}" for window in WINDOWS)
CLOCK = tuple(f"{name}_{wave}" for name, _, _ in WAVES for wave in ("sin", "cos"))
COLUMNS = (*LOG_VOLATILITIES, "log_return", "return_over_volatility", "volume_share", *CLOCK)
"""``volume_share`` is ``(v - mean)/(v + mean)`` over the last VOLUME_BARS bars, 0 where both are 0. The waves tell when
the next bar opens. ``return_over_volatility`` is the last return over the volatility of 24 bars."""


def parkinson_variance(high: Floats, low: Floats) -> Floats:
    """Each bar's variance per bar, at least VARIANCE_FLOOR."""
    variance: Floats = np.maximum(np.log(high / low), RANGE_FLOOR) ** 2 / (4 * math.log(2))
    return variance


def bar_variance(bars: Bars) -> Floats:
    """The variance of every bar, float64 ``[n]``."""
    return parkinson_variance(bars.values[:, HIGH], bars.values[:, LOW])


def realised_volatility(variance: Floats, ends: Times, horizon: int) -> Floats:
    """The log of the volatility per bar over the ``horizon`` bars after each end, float64 ``[len(ends)]``."""
    return past_volatility(variance, ends + horizon, horizon)


def past_volatility(variance: Floats, ends: Times, bars: int) -> Floats:
    """The log of the volatility per bar over the last ``bars`` bars up to each end. There must be as many before it."""
    windows = np.lib.stride_tricks.sliding_window_view(variance, bars)
    volatility: Floats = 0.5 * np.log(windows[ends - bars + 1].mean(axis=-1))
    return volatility


def zero_ranges(bars: Bars, ends: Times, horizon: int) -> int:
    """How many of the bars that the targets of ``ends`` are made of had a range below the floor."""
    small = np.log(bars.values[:, HIGH] / bars.values[:, LOW]) < RANGE_FLOOR
    rows = np.unique((ends[:, None] + np.arange(1, horizon + 1)).ravel()) if len(ends) else ends
    return int(np.count_nonzero(small[rows]))


def volatility_columns(bars: Bars) -> Iterator[Floats]:
    """The columns of a gap-free stretch in the order of COLUMNS, float64 ``[n]`` each; NaN where not yet defined."""
    close, volume = np.ascontiguousarray(bars.close), np.ascontiguousarray(bars.values[:, VOLUME])
    variance = bar_variance(bars)
    means = {window: indicators.sma(variance, window) for window in WINDOWS}
    for window in WINDOWS:
        yield 0.5 * np.log(means[window])
    returns = np.concatenate([[np.nan], np.log(close[1:] / close[:-1])])
    yield returns
    yield np.clip(returns / np.sqrt(means[24]), -RETURN_BOUND, RETURN_BOUND)
    usual = indicators.sma(volume, VOLUME_BARS)
    both = volume + usual
    yield (volume - usual) / np.where(both == 0, 1.0, both)
    for _, period, offset in WAVES:
        phase = (bars.time + bars.step_ms - offset) % period * (2 * math.pi / period)
        yield np.sin(phase)
        yield np.cos(phase)
