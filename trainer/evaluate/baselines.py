"""What a forecast is measured against: the last close, and a linear model of the last returns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.evaluate.metrics import Floats, price_metrics

Rows = NDArray[np.int64]

LAGS = 24
"""How many past returns the linear model sees, where the window has as many."""
_RIDGE = 1e-3
"""Ridge penalty for each row, on standardised returns: keeps the answer unique on flat prices."""


@dataclass(frozen=True)
class LinearModel:
    """``log(close[t+h] / close[t])`` as a linear function of the ``lags`` log-returns that end at ``t``."""

    mean: Floats
    scale: Floats
    weights: Floats
    intercept: float
    lags: int


def linear_lags(sequence_length: int) -> int:
    """As many returns as lie inside a window, at most LAGS."""
    return min(LAGS, sequence_length - 1)


def fit_linear(close: Floats, ends: Rows, horizon: int, sequence_length: int) -> LinearModel:
    """Fit by ridge on the windows that end at rows ``ends``: train rows only, so that it knows what the net knows."""
    lags = linear_lags(sequence_length)
    returns = _last_returns(close, ends, lags)
    target = np.log(close[ends + horizon] / close[ends])
    mean = returns.mean(axis=0)
    spread = returns.std(axis=0)
    scale = np.where(spread > 0, spread, 1.0)
    inputs = (returns - mean) / scale
    intercept = float(target.mean())
    gram = inputs.T @ inputs + _RIDGE * len(ends) * np.eye(lags)
    weights = np.linalg.solve(gram, inputs.T @ (target - intercept))
    return LinearModel(mean, scale, weights, intercept, lags)


def forecast_linear(model: LinearModel, close: Floats, ends: Rows) -> Floats:
    """The forecast price ``horizon`` bars after each end, float64[len(ends)]."""
    returns = (_last_returns(close, ends, model.lags) - model.mean) / model.scale
    forecast: Floats = close[ends] * np.exp(returns @ model.weights + model.intercept)
    return forecast


def baseline_metrics(
    close: Floats, train_ends: Rows, test_ends: Rows, horizon: int, sequence_length: int
) -> dict[str, dict[str, float]]:
    """The metrics of persistence and of the linear model on the test rows, by baseline."""
    actual, last = close[test_ends + horizon], close[test_ends]
    linear = forecast_linear(fit_linear(close, train_ends, horizon, sequence_length), close, test_ends)
    return {
        "persistence": dict(price_metrics(actual, last, last, horizon)),
        "linear": dict(price_metrics(actual, linear, last, horizon)),
    }


def _last_returns(close: Floats, ends: Rows, lags: int) -> Floats:
    logs = np.log(close)
    steps = np.diff(logs, prepend=logs[:1])
    returns: Floats = steps[ends[:, None] - np.arange(lags - 1, -1, -1)]
    return returns
