"""Whether there is anything to learn from: what does not move fits any model, and breaks it later.

A feature that stood still in the train part has no scale. The first bar in which it moves is then as far from all
that the net has seen as its unit happens to be.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np

from atb.contract import timeframe as tf
from atb.errors import DataError
from trainer.bars.frame import Bars, Floats, Times
from trainer.features.sets import Features
from trainer.features.windows import Split

FEWEST_MOVES = 0.05
"""The share of a part's bars in which the price must move, and of its windows whose targets must differ from the most
common one."""
_SAME = 9
"""Decimals of a log-return or log volatility: what differs less differs by rounding."""
_ROUNDING = 4 * float(np.finfo(np.float32).eps)


def validate_movement(bars: Bars, features: Features, columns: tuple[str, ...], split: Split) -> None:
    """Raise DataError, with dates, unless the price moves in every part of a split and each feature in its train part.

    ``features``: float32 ``[rows of bars, F]``, with a name for each of ``columns``.
    """
    name = f"{bars.symbol} {bars.timeframe}"
    bounds = (split.first_row, split.train_stop, split.validation_stop, len(bars))
    for part, (start, stop) in zip(("train", "validation", "test"), pairwise(bounds), strict=True):
        moves = int(np.count_nonzero(np.diff(bars.close[start:stop])))
        if moves <= FEWEST_MOVES * (stop - start - 1):
            raise DataError(
                f"{name}: the price moves in {moves:,} of {stop - start - 1:,} bars of the {part} part, "
                f"{_dates(bars.time, start, stop)}, too few to learn or measure anything; choose another --start or "
                "--as-of"
            )
    train = features[split.first_row : split.train_stop]
    with np.errstate(invalid="ignore"):
        low, high = np.nanmin(train, axis=0), np.nanmax(train, axis=0)
    for column, least, most in zip(columns, low.tolist(), high.tolist(), strict=True):
        if most - least <= _ROUNDING * max(abs(least), abs(most)):
            raise DataError(
                f"{name}: {column} does not move in the train part, {_dates(bars.time, *bounds[:2])}: it is always "
                f"{least:.6g}; choose another --start, or --features without it"
            )


def validate_targets(bars: Bars, targets: Mapping[str, Floats], ends: Mapping[str, Times]) -> None:
    """Raise DataError, with dates, unless the targets of each part's windows differ. By name of the part: the targets
    of its windows, float64 ``[n]``, and their last rows."""
    for part, values in targets.items():
        distinct, counts = np.unique(np.round(values, _SAME), return_counts=True)
        differing = len(values) - int(counts.max())
        if differing <= FEWEST_MOVES * len(values):
            number = f"{len(values) - differing:,} of {len(values):,}"
            raise DataError(
                f"{bars.symbol} {bars.timeframe}: what is forecast is the same, {distinct[np.argmax(counts)]:.6g}, in "
                f"{number} windows of the {part} part, "
                f"{_dates(bars.time, int(ends[part][0]), int(ends[part][-1]) + 1)}, so there is nothing to learn or "
                "measure; choose another --start, --as-of, --horizon or --target"
            )


def _dates(time: Times, start: int, stop: int) -> str:
    first, last = (tf.from_epoch_ms(int(time[row])) for row in (start, stop - 1))
    return f"{first:%Y-%m-%dT%H:%MZ} to {last:%Y-%m-%dT%H:%MZ}"
