"""A linear model whose penalty is chosen by generalised cross-validation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from trainer.evaluate.metrics import Floats

_PENALTIES = np.geomspace(1e-6, 1e3, 37)
"""Ridge penalties for each row, on standardised inputs, to choose from."""


@dataclass(frozen=True)
class Ridge:
    """``standardised inputs · weights + intercept``."""

    mean: Floats
    scale: Floats
    weights: Floats
    intercept: float

    @classmethod
    def fit(cls, inputs: NDArray[Any], target: Floats) -> Self:
        """From inputs ``[n, k]`` and targets ``[n]``.

        The penalty is the one of least generalised cross-validation error (Golub, Heath and Wahba 1979): on noise it
        shrinks the weights to nearly nothing, so that the baseline does not make a net look good by failing.
        """
        x = np.array(inputs, np.float64)
        mean, spread = x.mean(axis=0), x.std(axis=0)
        scale = np.where(spread > 0, spread, 1.0)
        x -= mean
        x /= scale
        intercept = float(target.mean())
        return cls(mean, scale, _weights(x, target - intercept), intercept)

    def forecast(self, inputs: NDArray[Any]) -> Floats:
        """The forecast targets, float64[len(inputs)]."""
        found: Floats = ((inputs - self.mean) / self.scale) @ self.weights + self.intercept
        return found


def _weights(inputs: Floats, target: Floats) -> Floats:
    rows = len(target)
    spread, axes = np.linalg.eigh(inputs.T @ inputs)
    spread = np.maximum(spread, 0.0)
    along = axes.T @ (inputs.T @ target)
    penalties = _PENALTIES[:, None] * rows
    weights = along / (spread + penalties)
    residual = target @ target - 2 * weights @ along + np.square(weights) @ spread
    freedom = (spread / (spread + penalties)).sum(axis=1)
    best = int(np.argmin(np.maximum(residual, 0.0) / np.square(np.maximum(rows - freedom, 1e-9))))
    fitted: Floats = axes @ weights[best]
    return fitted
