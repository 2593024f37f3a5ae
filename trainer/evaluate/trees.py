"""Gradient-boosted trees as a baseline: scikit-learn's histogram boosting."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.evaluate.metrics import Floats

ROUNDS, LEAVES, RATE, LEAF_ROWS = 100, 8, 0.05, 40
"""Small trees and a slow rate: a larger model learns the noise of a few thousand rows."""


def forecast_trees(inputs: NDArray[Any], target: Floats, rows: NDArray[Any]) -> Floats:
    """Fit on ``inputs`` ``[n, k]`` and ``target`` ``[n]``, and forecast for ``rows`` ``[m, k]``, on one thread.

    scikit-learn is loaded here and by nothing else: it takes a second, and only a training needs it.
    """
    from sklearn.ensemble import HistGradientBoostingRegressor

    model = HistGradientBoostingRegressor(
        max_iter=ROUNDS,
        max_leaf_nodes=LEAVES,
        learning_rate=RATE,
        min_samples_leaf=LEAF_ROWS,
        early_stopping=False,
        random_state=0,
    )
    level, scale = float(target.mean()), float(target.std()) or 1.0
    with find_pools().limit(limits=1):
        model.fit(inputs, (target - level) / scale)
        found: Floats = np.asarray(model.predict(rows), np.float64) * scale + level
    return found


@functools.cache
def find_pools() -> Any:
    """What limits the threads of the numerical libraries that are loaded. Looking for them takes 25 ms of CPU, so that
    whoever forks trainings looks first."""
    import sklearn.ensemble  # noqa: F401  # loads OpenMP
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
