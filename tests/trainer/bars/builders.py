"""Bars made by hand."""

from __future__ import annotations

import numpy as np

from trainer.bars.frame import Bars

HOUR = 3_600_000
T0 = 1_700_002_800_000
"""2023-11-14 23:00, on the hour."""


def bars_at(hours: list[float], closes: list[float] | None = None, symbol: str = "XUSDT") -> Bars:
    """Hourly bars at T0 plus so many hours, flat around their closes, volume 1."""
    close = np.array(closes if closes is not None else [100.0 + row for row in range(len(hours))])
    values = np.column_stack([close, close + 1, close - 1, close, np.ones(len(hours))])
    return Bars(symbol, "1h", (T0 + np.array(hours) * HOUR).astype(np.int64), values)
