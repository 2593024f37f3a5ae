"""The folds of walk-forward validation: an ever longer past to learn from, then the next stretch to be judged on."""

from __future__ import annotations

from collections.abc import Iterator

from trainer.bars.frame import Times
from trainer.features.sets import Features
from trainer.features.windows import FRACTIONS, Split, cut_windows, window_ends

JUDGED = 0.6
"""The share of the rows, at the end, that the folds' test stretches cover in equal parts."""


def walk_forward(
    features: Features,
    starts: Times,
    first_row: int,
    sequence_length: int,
    horizon: int,
    folds: int,
    history: int = 1,
) -> Iterator[Split]:
    """Yield the splits, oldest first. Before a test stretch, train and validation rows are in the usual proportion.

    Arguments as for ``split_windows``. Raises DataError where a part of a fold would have no window.
    """
    rows = len(features)
    ends = window_ends(features, starts, first_row, sequence_length, horizon, history)
    train_share = FRACTIONS[0] / sum(FRACTIONS)
    stretch = JUDGED * (rows - first_row) / folds
    for fold in range(folds):
        stop = rows - int((folds - 1 - fold) * stretch)
        test_start = rows - int((folds - fold) * stretch)
        train_stop = first_row + int((test_start - first_row) * train_share)
        yield cut_windows(ends, (first_row, train_stop, test_start, stop), sequence_length, horizon)
