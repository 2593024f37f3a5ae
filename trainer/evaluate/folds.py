"""Walk-forward validation: the same training on longer and longer histories, each scored on the rows that follow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from atb.documents.evaluation import Folds


def summarise_folds(folds: Sequence[dict[str, float]]) -> Folds:
    """Each fold's metrics in order of time, their mean and spread.

    The spread is the standard deviation of the sample, 0 of a single fold.
    """
    names = list(folds[0])
    values = np.array([[fold[name] for name in names] for fold in folds])
    spread = values.std(axis=0, ddof=1) if len(folds) > 1 else np.zeros(len(names))
    return Folds(
        count=len(folds),
        mean=dict(zip(names, values.mean(axis=0).tolist(), strict=True)),
        spread=dict(zip(names, spread.tolist(), strict=True)),
        each=tuple(folds),
    )
