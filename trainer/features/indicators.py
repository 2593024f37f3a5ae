"""Indicators as functions of whole columns, float64 in and out, NaN where not yet defined. No loop over rows.

Recursions run in TA-Lib, means here: TA-Lib keeps a running sum, whose error is that of the largest value it has
seen, and a price of 1e-8 after one of 1e5 would have no digit left. ``benchmarks/features.py`` has the times.
"""

from __future__ import annotations

import numpy as np
import talib

from trainer.bars.frame import Floats


def sma(x: Floats, window: int) -> Floats:
    """The mean of the last ``window`` values, each window summed afresh; from row ``window - 1``."""
    out = np.full(len(x), np.nan)
    if len(x) >= window:
        out[window - 1 :] = np.lib.stride_tricks.sliding_window_view(x, window).mean(axis=-1)
    return out


def ema(x: Floats, period: int) -> Floats:
    """The exponential average with weight ``2/(period+1)``, begun with the mean of the first ``period`` values."""
    average: Floats = talib.EMA(x, period)
    return average


def macd(close: Floats, fast: int = 12, slow: int = 26) -> Floats:
    """The fast less the slow exponential average; from row ``slow - 1``."""
    return ema(close, fast) - ema(close, slow)


def rsi(close: Floats, period: int = 14) -> Floats:
    """Relative strength ``100·g/(g+l)`` of mean gain g and mean loss l, 50 where both are 0; from row ``period``.

    The means are a plain one over the first ``period`` moves, then ``(before·(period-1) + move)/period``: J. Welles
    Wilder, "New Concepts in Technical Trading Systems", 1978.
    """
    strength: Floats = talib.RSI(close, period)
    moved = np.flatnonzero(close != close[:1])
    strength[period : moved[0] if len(moved) else len(close)] = 50.0  # TA-Lib says 0 until the first move
    return strength


def atr(high: Floats, low: Floats, close: Floats, period: int = 14) -> Floats:
    """Wilder's average of the range that includes the close before; from row ``period``."""
    average: Floats = talib.ATR(high, low, close, period)
    return average
