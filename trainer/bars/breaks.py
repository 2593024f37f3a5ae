"""Where a price breaks off: rows of another market or another unit that follow one another without a gap."""

from __future__ import annotations

import numpy as np

from trainer.bars.frame import CLOSE, OPEN, Bars, Times

MOST_BREAKS = 0.01
"""A larger share of bars that open far from the close before is not of one market."""
_FAR = 2.0
"""Trading goes on where it stopped: a market that never closes opens a bar about where it closed the one before."""
_AROUND = 12
"""Bars on either side that show whether the price stays at another level, or came back from one bad tick."""


def find_breaks(bars: Bars) -> Times:
    """The rows, int64, that open at more than double or less than half of the close of the bar just before."""
    with np.errstate(over="ignore"):
        ratio = bars.values[1:, OPEN] / bars.values[:-1, CLOSE]
    far = (ratio > _FAR) | (ratio < 1 / _FAR)
    return (np.flatnonzero(far & (np.diff(bars.time) == bars.step_ms)) + 1).astype(np.int64)


def find_new_level(bars: Bars, breaks: Times) -> int | None:
    """The open time of the first break after which the price stays as far off; None where it always came back."""
    for row in breaks.tolist():
        before, after = (
            np.median(part) for part in (bars.close[max(0, row - _AROUND) : row], bars.close[row:][:_AROUND])
        )
        if not 1 / _FAR <= after / before <= _FAR:
            return int(bars.time[row])
    return None
