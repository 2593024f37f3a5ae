"""Metrics of a forecast. Every number is finite, so that it fits in JSON.

Of prices: ``actual``, ``predicted`` and ``last_close`` are float64[n], n ≥ 1, all positive: the close ``horizon`` bars
after each window's end, its forecast, and the close at the window's end. Of volatility: the same in logs, with the
volatility of the last ``horizon`` bars for the last close.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from atb.errors import DataError, Diverged

Floats = NDArray[np.float64]

PROOF_Z = 3.0
"""How many standard errors a skill must be above zero to count as shown: noise gets there once in about 700 tries."""
PROOF_ROWS = 30
"""With fewer independent rows no skill counts as shown."""
_NO_PROOF = -1.0
_LARGEST_LOG = 50.0
"""A log volatility beyond it is none: its exponential has no place in a float of 32 bits."""


def price_metrics(
    actual: Floats, predicted: Floats, last_close: Floats, horizon: int = 1
) -> Iterator[tuple[str, float]]:
    """Yield (name, value): rmse and mae in price, mape and smape in percent, and directional accuracy with its 95 %
    interval and the share of the commoner direction, which a forecast that never changes its mind can have; skill over
    persistence with the lower bound that noise does not reach.

    Targets of a horizon above 1 overlap, so only every ``horizon``-th row counts as independent in the intervals.
    Raises DataError where there is no row, Diverged where a forecast is not a positive finite number.
    """
    validate_forecast(actual, predicted, last_close)
    error = predicted - actual
    yield "rmse", rmse(actual, predicted)
    yield "mae", float(np.mean(np.abs(error)))
    yield "mape", float(100 * np.mean(np.abs(error) / actual))
    yield "smape", float(200 * np.mean(np.abs(error) / (actual + predicted)))
    accuracy, moved = directional_accuracy(actual, predicted, last_close)
    low, high = wilson_interval(accuracy, moved / horizon)
    yield "directional_accuracy", accuracy
    yield "directional_accuracy_low", low
    yield "directional_accuracy_high", high
    yield "commoner_direction", commoner_direction(actual, last_close)
    yield "skill", skill(actual, predicted, last_close)
    yield "skill_low", skill_low(actual, predicted, last_close, horizon)


def rmse(actual: Floats, predicted: Floats) -> float:
    """The root of the mean squared error, in price."""
    return float(np.sqrt(np.mean(np.square(predicted - actual))))


def directional_accuracy(actual: Floats, predicted: Floats, last_close: Floats) -> tuple[float, int]:
    """The share of moves whose direction was forecast correctly, and how many moves there were.

    Rows where the price did not move don't count; a forecast of no move is worth half. Without moves it is one half.
    """
    move = np.sign(actual - last_close)
    forecast = np.sign(predicted - last_close)
    moved = int(np.count_nonzero(move))
    if not moved:
        return 0.5, 0
    hits = np.count_nonzero((forecast == move) & (move != 0)) + 0.5 * np.count_nonzero((forecast == 0) & (move != 0))
    return float(hits / moved), moved


def commoner_direction(actual: Floats, last_close: Floats) -> float:
    """The share of the moves that went the way most of them went; one half without moves."""
    up, down = np.count_nonzero(actual > last_close), np.count_nonzero(actual < last_close)
    return float(max(up, down) / (up + down)) if up + down else 0.5


def volatility_metrics(
    actual: Floats, predicted: Floats, persistence: Floats, horizon: int = 1, train_mean: float | None = None
) -> Iterator[tuple[str, float]]:
    """Yield (name, value) of forecasts of log volatility: rmse and mae in logs, where 0.1 is about 10 %;
    rmse_volatility in volatility per bar; qlike; r2 over the mean of the train rows; skill over persistence with the
    lower bound that noise does not reach.

    QLIKE is ``v/f − log(v/f) − 1`` of variance v and its forecast f (Patton 2011): it weighs a forecast that is too
    low more than one that is too high. Raises DataError where there is no row, Diverged where a forecast is not finite.
    """
    validate_logs(actual, predicted)
    error = predicted - actual
    yield "rmse", rmse(actual, predicted)
    yield "mae", float(np.mean(np.abs(error)))
    yield "rmse_volatility", rmse(np.exp(actual), np.exp(predicted))
    yield "qlike", float(np.mean(np.exp(-2 * error) + 2 * error - 1))
    if train_mean is not None:
        around = float(np.mean(np.square(actual - train_mean)))
        yield "r2", 1 - float(np.mean(np.square(error))) / around if around > 0 else 0.0
    yield "skill", skill(actual, predicted, persistence)
    yield "skill_low", skill_low(actual, predicted, persistence, horizon)


def wilson_interval(share: float, count: float, z: float = 1.96) -> tuple[float, float]:
    """Wilson's score interval of a binomial share (Wilson 1927); the whole unit interval where nothing was counted."""
    if count <= 0:
        return 0.0, 1.0
    centre = share + z * z / (2 * count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


def skill(actual: Floats, predicted: Floats, last_close: Floats) -> float:
    """1 − RMSE / RMSE of persistence: 1 is perfect, 0 is no better than the last close, below 0 is worse.

    ``last_close`` may be any other forecast, to have the skill over that one. Where persistence is perfect, as in a
    price that never moved: 0 for a forecast that is so too, else −1.
    """
    persistence = rmse(actual, last_close)
    own = rmse(actual, predicted)
    if persistence == 0:
        return 0.0 if own == 0 else -1.0
    return 1.0 - own / persistence


def skill_low(actual: Floats, predicted: Floats, last_close: Floats, horizon: int = 1, z: float = PROOF_Z) -> float:
    """The lower bound of the skill: above 0 means that noise would not have done as well.

    Diebold and Mariano (1995): the mean difference of the squared errors, less ``z`` standard errors, with Newey and
    West's (1987) variance since errors of neighbouring rows go together. −1 where there are too few rows to tell.
    """
    rows = len(actual)
    scale = float(np.mean(np.square(last_close - actual)))
    if scale == 0 or rows < PROOF_ROWS * horizon:
        return _NO_PROOF
    gain = (np.square(last_close - actual) - np.square(predicted - actual)) / scale
    lags = newey_west_lags(rows, horizon)
    low = float(np.mean(gain)) - z * math.sqrt(long_run_variance(gain, lags) / rows)
    return 1.0 - math.sqrt(max(0.0, 1.0 - low))


def validate_forecast(actual: Floats, predicted: Floats, last_close: Floats) -> None:
    """Raise DataError for no rows or unequal lengths, Diverged for a forecast that is not a price."""
    if not len(actual) == len(predicted) == len(last_close) or not len(actual):
        raise DataError(
            f"nothing to judge: {len(actual)} actual, {len(predicted)} forecast and {len(last_close)} last closes"
        )
    bad = int(np.count_nonzero(~(np.isfinite(predicted) & (predicted > 0))))
    if bad:
        raise Diverged(f"the forecast is not a price on {bad} of {len(predicted)} rows; lower --learning-rate")


def validate_logs(actual: Floats, predicted: Floats) -> None:
    """Raise DataError for no rows or unequal lengths, Diverged for a log volatility forecast that is not a number."""
    if len(actual) != len(predicted) or not len(actual):
        raise DataError(f"nothing to judge: {len(actual)} actual and {len(predicted)} forecast volatilities")
    bad = int(np.count_nonzero(~(np.abs(predicted) < _LARGEST_LOG)))
    if bad:
        raise Diverged(f"the forecast is not a volatility on {bad} of {len(predicted)} rows; lower --learning-rate")


def newey_west_lags(rows: int, horizon: int) -> int:
    """How many lags the variance of a mean over this many rows takes: at least all over which targets overlap."""
    return max(horizon - 1, int(4 * (rows / 100) ** (2 / 9)))


def long_run_variance(values: Floats, lags: int) -> float:
    """Newey and West's (1987) variance of the mean of ``values``, times their number."""
    centred = values - np.mean(values)
    rows = len(values)
    total = float(np.dot(centred, centred)) / rows
    for lag in range(1, min(lags, rows - 1) + 1):
        total += 2 * (1 - lag / (lags + 1)) * float(np.dot(centred[lag:], centred[:-lag])) / rows
    return max(total, 0.0)
