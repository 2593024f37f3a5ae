"""The indicators once more, as their inventors wrote them: one row at a time, in exact fractions."""

from __future__ import annotations

import itertools
from fractions import Fraction

Exact = list[Fraction | None]


def exact(values: list[float]) -> list[Fraction]:
    """What the floats really are."""
    return [Fraction(value) for value in values]


def mean(x: list[Fraction]) -> Fraction:
    """The plain mean."""
    return sum(x, Fraction(0)) / len(x)


def sma(x: list[Fraction], window: int) -> Exact:
    """The mean of the last ``window`` values."""
    whole = [mean(x[row - window + 1 : row + 1]) for row in range(window - 1, len(x))]
    return [*[None] * (len(x) - len(whole)), *whole]


def smoothed(x: list[Fraction], period: int, weight: Fraction) -> Exact:
    """A plain mean of the first ``period`` values, then so much of each new one."""
    out: Exact = [None] * len(x)
    for row in range(period - 1, len(x)):
        before = out[row - 1]
        out[row] = mean(x[:period]) if before is None else before + weight * (x[row] - before)
    return out


def wilder(x: list[Fraction], period: int) -> Exact:
    """Wilder's average."""
    return smoothed(x, period, Fraction(1, period))


def ema(x: list[Fraction], period: int) -> Exact:
    """The exponential average."""
    return smoothed(x, period, Fraction(2, period + 1))


def rsi(close: list[Fraction], period: int) -> Exact:
    """``100·g/(g+l)``, 50 where both are 0."""
    moves = [after - before for before, after in itertools.pairwise(close)]
    gains = wilder([max(move, Fraction(0)) for move in moves], period)
    losses = wilder([max(-move, Fraction(0)) for move in moves], period)
    out: Exact = [None]
    for gain, loss in zip(gains, losses, strict=True):
        if gain is None or loss is None:
            out.append(None)
        else:
            out.append(100 * gain / (gain + loss) if gain + loss else Fraction(50))
    return out


def atr(high: list[Fraction], low: list[Fraction], close: list[Fraction], period: int) -> Exact:
    """Wilder's average of the true range."""
    ranges = [max(h, c) - min(lo, c) for h, lo, c in zip(high[1:], low[1:], close[:-1], strict=True)]
    return [None, *wilder(ranges, period)]


def macd(close: list[Fraction]) -> Exact:
    """EMA 12 less EMA 26."""
    pairs = zip(ema(close, 12), ema(close, 26), strict=True)
    return [None if fast is None or slow is None else fast - slow for fast, slow in pairs]
