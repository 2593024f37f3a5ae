"""What a forecast is measured against: the last close, and a linear model of the last returns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from trainer.evaluate.metrics import Floats, price_metrics

Rows = NDArray[np.int64]

LAGS = 24
"""How many past returns the linear model sees, where the window has as many."""
_PENALTIES = np.geomspace(1e-6, 1e3, 37)
"""Ridge penalties for each row, on standardised returns, to choose from."""


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
    """Fit by ridge on the windows that end at rows ``ends``: train rows only, so that it knows what the net knows.

    The penalty is the one of least generalised cross-validation error (Golub, Heath and Wahba 1979): on noise it
    shrinks the weights to nearly nothing, so that the baseline does not make a net look good by failing.
    """
    lags = linear_lags(sequence_length)
    returns = _last_returns(close, ends, lags)
    target = np.log(close[ends + horizon] / close[ends])
    mean = returns.mean(axis=0)
    spread = returns.std(axis=0)
    scale = np.where(spread > 0, spread, 1.0)
    returns -= mean
    returns /= scale
    intercept = float(target.mean())
    weights = _fit_ridge(returns, target - intercept)
    return LinearModel(mean, scale, weights, intercept, lags)


def _fit_ridge(inputs: Floats, target: Floats) -> Floats:
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
    returns: Floats = sliding_window_view(steps, lags)[ends - (lags - 1)]
    return returns
