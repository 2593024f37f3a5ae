"""What a net is measured against. Each is fitted on train rows only and forecasts the same rows as the net.

For returns: the last close, a linear model of the last returns, and boosted trees on the window's features.
For volatility: that of the last bars, EWMA, HAR, ridge, and boosted trees.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from trainer.evaluate.metrics import Floats, rmse
from trainer.evaluate.ridge import Ridge
from trainer.evaluate.trees import forecast_trees
from trainer.features.har import Har
from trainer.features.volatility import MEMORY, past_volatility, realised_volatility

Rows = NDArray[np.int64]

LAGS = 24
"""How many past returns, or ranges, a linear model sees, where the window has as many."""
DECAYS = (0.7, 0.8, 0.85, 0.9, 0.94, 0.97, 0.99)
"""What EWMA's weights fall to with each bar back; 0.94 is RiskMetrics'."""


@dataclass(frozen=True)
class LinearModel:
    """``log(close[t+h] / close[t])`` as a linear function of the ``lags`` log-returns that end at ``t``."""

    ridge: Ridge
    lags: int


def linear_lags(sequence_length: int) -> int:
    """As many returns as lie inside a window, at most LAGS."""
    return min(LAGS, sequence_length - 1)


def fit_linear(close: Floats, ends: Rows, horizon: int, sequence_length: int) -> LinearModel:
    """Fit by ridge on the windows that end at rows ``ends``: train rows only, so that it knows what the net knows."""
    lags = linear_lags(sequence_length)
    target = np.log(close[ends + horizon] / close[ends])
    return LinearModel(Ridge.fit(_last_returns(close, ends, lags), target), lags)


def forecast_linear(model: LinearModel, close: Floats, ends: Rows) -> Floats:
    """The forecast price ``horizon`` bars after each end, float64[len(ends)]."""
    forecast: Floats = close[ends] * np.exp(model.ridge.forecast(_last_returns(close, ends, model.lags)))
    return forecast


def return_baselines(
    close: Floats, flat: NDArray[Any], train_ends: Rows, ends: Rows, horizon: int, sequence_length: int
) -> dict[str, Floats]:
    """Forecast prices ``horizon`` bars after each of ``ends``, float64[len(ends)], by baseline.

    ``flat``: the raw features ``[n, F]`` of all bars, whose last row in a window the trees see beside the returns.
    """
    lags = linear_lags(sequence_length)

    def inputs(rows: Rows) -> NDArray[Any]:
        return np.hstack([flat[rows], _last_returns(close, rows, lags)])

    target = np.log(close[train_ends + horizon] / close[train_ends])
    return {
        "persistence": close[ends],
        "linear": forecast_linear(fit_linear(close, train_ends, horizon, sequence_length), close, ends),
        "trees": close[ends] * np.exp(forecast_trees(inputs(train_ends), target, inputs(ends))),
    }


def volatility_baselines(
    variance: Floats, flat: NDArray[Any], har_inputs: NDArray[Any], train_ends: Rows, ends: Rows, horizon: int
) -> dict[str, Floats]:
    """Forecast log volatility per bar over the ``horizon`` bars after each of ``ends``, by baseline.

    ``variance``: float64[n] of each bar. ``flat``: the raw features ``[n, F]`` of all bars; ``har_inputs`` ``[n, k]``
    those that HAR reads. Every end has MEMORY bars before it, and ``horizon``, without a gap.
    """
    target = realised_volatility(variance, train_ends, horizon)
    logs = 0.5 * np.log(variance)

    def inputs(rows: Rows) -> NDArray[Any]:
        return np.hstack([flat[rows], sliding_window_view(logs, LAGS)[rows - LAGS + 1]])

    return {
        "persistence": past_volatility(variance, ends, horizon),
        "ewma": _ewma(variance, target, train_ends, ends),
        "har": Har.fit(har_inputs[train_ends], target).forecast(har_inputs[ends]),
        "ridge": Ridge.fit(inputs(train_ends), target).forecast(inputs(ends)),
        "trees": forecast_trees(inputs(train_ends), target, inputs(ends)),
    }


def _ewma(variance: Floats, target: Floats, train_ends: Rows, ends: Rows) -> Floats:
    """The decay and the level are those that fit the train rows best: the log of a mean lies above the mean log."""
    best: tuple[float, Floats] | None = None
    for decay in DECAYS:
        weights = decay ** np.arange(MEMORY - 1, -1, -1)
        weights /= weights.sum()
        logs = 0.5 * np.log(sliding_window_view(variance, MEMORY) @ weights)
        known = logs[train_ends - MEMORY + 1]
        level = float(np.mean(target - known))
        error = rmse(target, known + level)
        if best is None or error < best[0]:
            best = error, logs[ends - MEMORY + 1] + level
    assert best is not None
    return best[1]


def _last_returns(close: Floats, ends: Rows, lags: int) -> Floats:
    logs = np.log(close)
    steps = np.diff(logs, prepend=logs[:1])
    returns: Floats = sliding_window_view(steps, lags)[ends - (lags - 1)]
    return returns
