"""What the ledger of evidence needs of test rows: forecasts and outcomes beyond the bar, and their scales."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from atb.documents.evidence import MOST_ROWS, TestRows
from trainer.evaluate.metrics import Floats

HALF_LIFE = 64
"""Rows after which an error counts half in the scale of the next ones."""
_ABSOLUTE_TO_DEVIATION = math.sqrt(math.pi / 2)
"""The standard deviation of a normal variable over its mean absolute value."""


def trailing_scale(errors: Floats, horizon: int, start: float | Floats) -> Floats:
    """How large an outcome beyond the bar is to be expected at each row, from rows that are known by then.

    ``errors``: ``[..., n]``, in order of time; the one of row t is known at t + ``horizon``. ``start``: the mean
    absolute error before the first row. An exponentially weighted mean of absolute errors, times √(π/2): heavy tails
    move it less than squares would.
    """
    keep = 0.5 ** (1 / HALF_LIFE)
    mean = np.broadcast_to(np.asarray(start, np.float64), errors.shape[:-1]).copy()
    scale = np.empty_like(errors)
    for row in range(errors.shape[-1]):
        if row >= horizon:
            mean = keep * mean + (1 - keep) * np.abs(errors[..., row - horizon])
        scale[..., row] = mean
    scaled: Floats = scale * _ABSOLUTE_TO_DEVIATION
    return scaled


def make_test_rows(
    time: NDArray[np.int64],
    step_ms: int,
    horizon: int,
    bar: str,
    columns: dict[str, Floats],
    spread: float,
) -> TestRows:
    """The document, of the latest rows. ``columns``: forecast, outcome, scale and linear, each float64[len(time)]."""
    kept = slice(max(0, len(time) - MOST_ROWS), None)
    rounded = {name: tuple(map(_round, column[kept].tolist())) for name, column in columns.items()}
    return TestRows(
        bar=bar, horizon=horizon, step_ms=step_ms, spread=spread, time=tuple(time[kept].tolist()), **rounded
    )


def _round(value: float) -> float:
    return float(f"{value:.6g}")
