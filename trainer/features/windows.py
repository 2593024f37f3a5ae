"""Which windows belong to which part. Windows are named by their last row and gathered from the flat array."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from atb.errors import DataError
from trainer.bars.frame import Floats, Times
from trainer.features.sets import Features

FRACTIONS = (0.70, 0.15)
"""Train and validation; the rest is test."""


def rows_needed(sequence_length: int, horizon: int) -> int:
    """The fewest gapless rows of which every part has a window."""
    return math.ceil((sequence_length + horizon) / min(*FRACTIONS, 1 - sum(FRACTIONS))) + 1


@dataclass(frozen=True, eq=False)
class Split:
    """Window end rows of each part, int64, ascending. A window ending at row t covers rows ``t-L+1 … t``.

    Train rows are ``[first_row, train_stop)``, validation ``[train_stop, validation_stop)``, test the rest. Every
    window lies with its target row in one part and one segment. ``purged`` windows would cross from part to part.
    """

    train: Times
    validation: Times
    test: Times
    first_row: int
    train_stop: int
    validation_stop: int
    purged: int


def split_windows(
    features: Features, starts: Times, first_row: int, sequence_length: int, horizon: int, history: int = 1
) -> Split:
    """Split rows ``first_row …`` of features ``[n, F]`` in time, 70/15/15, by rows.

    ``starts``: the first row of each segment. A window with an undefined feature in it is none, and one whose segment
    has not ``history`` rows up to its end. Raises DataError where a part would have no window.
    """
    rows = len(features)
    train_stop = first_row + int((rows - first_row) * FRACTIONS[0])
    validation_stop = first_row + int((rows - first_row) * sum(FRACTIONS))
    ends = window_ends(features, starts, first_row, sequence_length, horizon, history)
    return cut_windows(ends, (first_row, train_stop, validation_stop, rows), sequence_length, horizon)


def cut_windows(ends: Times, bounds: tuple[int, int, int, int], sequence_length: int, horizon: int) -> Split:
    """The windows of each part between two ``bounds``: first row, end of train, end of validation, end of test.

    Raises DataError where a part would have no window.
    """
    first_row, train_stop, validation_stop, stop = bounds
    train, validation, test = parts = [
        ends[(ends - sequence_length + 1 >= start) & (ends + horizon < end)] for start, end in pairwise(bounds)
    ]
    for name, part in zip(("train", "validation", "test"), parts, strict=True):
        if not len(part):
            raise DataError(
                f"the {name} part has no window of {sequence_length} bars: {stop - first_row:,} bars are too few "
                "or cut up by gaps; widen the window with --days"
            )
    purged = int(np.count_nonzero(ends + horizon < stop)) - sum(map(len, parts))
    return Split(train, validation, test, first_row, train_stop, validation_stop, purged)


def window_ends(
    features: Features, starts: Times, first_row: int, sequence_length: int, horizon: int, history: int = 1
) -> Times:
    """End rows of all windows at or after ``first_row`` that lie with their target in one segment, all defined and with
    ``history`` rows of it up to their end."""
    rows = len(features)
    segment = np.zeros(rows, np.int64)
    segment[starts[1:]] = 1
    segment = np.cumsum(segment)
    undefined = np.concatenate([[0], np.cumsum(np.isnan(features).any(axis=1))])
    ends = np.arange(first_row + sequence_length - 1, rows - horizon, dtype=np.int64)
    begin = ends - sequence_length + 1
    whole = (segment[begin] == segment[ends + horizon]) & (undefined[ends + 1] == undefined[begin])
    found: Times = ends[whole & (ends - starts[segment[ends]] + 1 >= history)]
    return found


def log_returns(close: Floats, ends: Times, horizon: int) -> Floats:
    """The target of each window: ``log(close[t + horizon] / close[t])``, float64."""
    returns: Floats = np.log(close[ends + horizon] / close[ends])
    return returns


def gather_windows(features: npt.NDArray[np.float32], ends: Times, sequence_length: int) -> Features:
    """The windows themselves, float32 ``[len(ends), L, F]``: for a batch, not for all."""
    windows: Features = features[ends[:, None] + np.arange(1 - sequence_length, 1)]
    return windows
