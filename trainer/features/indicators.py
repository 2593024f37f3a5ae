"""Indicators as functions of whole columns, float64 in and out, NaN where not yet defined. No loop over rows.

Each value depends on earlier rows only, and sums are taken over each window afresh, so that a price of 1e-8 keeps as
many digits as one of 1e5.
"""

from __future__ import annotations

import numpy as np
from scipy.signal import lfilter

from trainer.bars.frame import Floats


def sma(x: Floats, window: int) -> Floats:
    """The mean of the last ``window`` values; defined from row ``window - 1``."""
    return _trailing_sum(x, window) / window


def wilder_mean(x: Floats, period: int) -> Floats:
    """Wilder's average: a plain mean of the first ``period`` values, then ``(before × (period - 1) + x) / period``.

    J. Welles Wilder, "New Concepts in Technical Trading Systems", 1978. Defined from row ``period - 1``.
    """
    return _smooth(x, period, 1 / period)


def ema(x: Floats, period: int) -> Floats:
    """The exponential average with weight ``2 / (period + 1)``, begun with the mean of the first ``period`` values."""
    return _smooth(x, period, 2 / (period + 1))


def rsi(close: Floats, period: int = 14) -> Floats:
    """Wilder's relative strength: ``100·g/(g+l)`` of mean gain and loss, 50 where both are 0; from row ``period``."""
    moves = np.diff(close)
    gain = wilder_mean(np.maximum(moves, 0), period)
    loss = wilder_mean(np.maximum(-moves, 0), period)
    total = gain + loss
    with np.errstate(invalid="ignore"):
        strength = np.where(total > 0, 100 * gain / np.where(total > 0, total, 1), np.where(total == 0, 50.0, np.nan))
    return np.concatenate([[np.nan], strength])


def true_range(high: Floats, low: Floats, close: Floats) -> Floats:
    """The bar's range with the gap from the close before it; from row 1."""
    before = close[:-1]
    return np.concatenate([[np.nan], np.maximum(high[1:], before) - np.minimum(low[1:], before)])


def atr(high: Floats, low: Floats, close: Floats, period: int = 14) -> Floats:
    """Wilder's average true range; from row ``period``."""
    return np.concatenate([[np.nan], wilder_mean(true_range(high, low, close)[1:], period)])


def macd(close: Floats, fast: int = 12, slow: int = 26) -> Floats:
    """The fast less the slow exponential average; from row ``slow - 1``."""
    return ema(close, fast) - ema(close, slow)


def _smooth(x: Floats, period: int, weight: float) -> Floats:
    out = np.full(len(x), np.nan)
    if len(x) < period:
        return out
    out[period - 1] = start = x[:period].mean()
    out[period:], _ = lfilter([weight], [1.0, weight - 1.0], x[period:], zi=[(1.0 - weight) * start])
    return out


def _trailing_sum(x: Floats, window: int) -> Floats:
    """Sums of 1, 2, 4 … values, each from two of the one before; a window is put together from those."""
    out = np.full(len(x), np.nan)
    if len(x) < window:
        return out
    count = len(x) - window + 1
    total, power, size, done = np.zeros(count), x, 1, 0
    while size <= window:
        if window & size:
            total += power[done : done + count]
            done += size
        power = power[size:] + power[:-size]
        size *= 2
    out[window - 1 :] = total
    return out
