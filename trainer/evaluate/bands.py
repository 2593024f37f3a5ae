"""Price bands: where the close ``horizon`` bars on will lie with a stated probability, and whether it did.

Split conformal (Papadopoulos et al. 2002; Lei et al. 2018): the validation rows' absolute errors of the log price, each
over the volatility forecast for its row, are the scores; a band of level p reaches as far as the share p of them. The
coverage holds whatever the errors' distribution is, as long as scores of later rows are like those of validation rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atb.documents.evaluation import BandMetrics
from trainer.evaluate.metrics import Floats
from trainer.features.volatility import VARIANCE_FLOOR

Rows = NDArray[np.int64]

DECAY = 0.94
"""RiskMetrics'."""


@dataclass(frozen=True)
class Bands:
    """Prices float64 ``[n, levels]``: with probability ``levels[i]`` the close lies from ``lower`` to ``upper``."""

    levels: tuple[float, ...]
    lower: Floats
    upper: Floats

    def take(self, chosen: NDArray[Any]) -> Bands:
        """The bands of some rows."""
        return Bands(self.levels, self.lower[chosen], self.upper[chosen])


def conformal_quantiles(levels: tuple[float, ...], scores: Floats) -> tuple[float, ...]:
    """How many volatilities wide a band of each level is on either side, from absolute scores ``[n]``, n ≥ 1.

    The ``⌈(n + 1)·level⌉``-th smallest score; the largest where there are too few for the level.
    """
    ordered = np.sort(scores)
    last = len(ordered) - 1
    return tuple(float(ordered[min(last, math.ceil((len(ordered) + 1) * level) - 1)]) for level in levels)


def conformal_scores(last: Floats, actual: Floats, log_return: Floats, volatility: Floats, horizon: int) -> Floats:
    """``|log(actual / last) − forecast log-return|`` over the volatility per bar times √horizon, float64[n]."""
    scores: Floats = np.abs(np.log(actual / last) - log_return) / (volatility * math.sqrt(horizon))
    return scores


def make_bands(
    levels: tuple[float, ...],
    quantiles: tuple[float, ...],
    last: Floats,
    log_return: Floats,
    volatility: Floats,
    horizon: int,
) -> Bands:
    """Bands around ``last × exp(log_return)``. ``volatility``: per bar, for each row."""
    reach = volatility[:, None] * math.sqrt(horizon) * np.array(quantiles)
    centre = np.log(last)[:, None] + log_return[:, None]
    return Bands(levels, np.exp(centre - reach), np.exp(centre + reach))


def gaussian_bands(levels: tuple[float, ...], last: Floats, volatility: Floats, horizon: int) -> Bands:
    """What a normal distribution of that volatility per bar says, around the last close."""
    quantiles = tuple(NormalDist().inv_cdf(0.5 + level / 2) for level in levels)
    return make_bands(levels, quantiles, last, np.zeros(len(last)), volatility, horizon)


def historical_bands(levels: tuple[float, ...], last: Floats, returns: Floats) -> Bands:
    """Historical simulation: the quantiles of the train rows' log-returns over as many bars."""
    low, high = (np.quantile(returns, [0.5 + sign * level / 2 for level in levels]) for sign in (-1, 1))
    return Bands(levels, last[:, None] * np.exp(low), last[:, None] * np.exp(high))


def ewma_weights(bars: int) -> Floats:
    """The weights of the last ``bars`` squared returns, the oldest first: each is DECAY of the next, 1 in all."""
    weights: Floats = DECAY ** np.arange(bars - 1, -1, -1, dtype=np.float64)
    weights /= weights.sum()
    return weights


def ewma_volatility(returns: Floats, ends: Rows, bars: int) -> Floats:
    """Volatility per bar from the last ``bars`` log-returns up to each end; never below what a basis point's range
    stands for. ``returns``: float64[n] of all bars."""
    windows = np.lib.stride_tricks.sliding_window_view(np.square(returns), bars)[ends - bars + 1]
    volatility: Floats = np.sqrt(np.maximum(windows @ ewma_weights(bars), VARIANCE_FLOOR))
    return volatility


def measure_bands(bands: Bands, actual: Floats, last: Floats) -> tuple[BandMetrics, ...]:
    """By level, over all rows given; n ≥ 1."""
    found = []
    for number, level in enumerate(bands.levels):
        lower, upper = bands.lower[:, number], bands.upper[:, number]
        missed = np.maximum(lower - actual, 0) + np.maximum(actual - upper, 0)
        found.append(
            BandMetrics(
                level=level,
                coverage=float(np.mean((actual >= lower) & (actual <= upper))),
                width=float(np.mean((upper - lower) / last)),
                score=float(np.mean((upper - lower + 2 / (1 - level) * missed) / last)),
            )
        )
    return tuple(found)
