"""The deflated Sharpe ratio: how likely it is that a Sharpe is above what the best of n trials shows by luck."""

from __future__ import annotations

import math
from statistics import NormalDist

_EULER = 0.5772156649015329


def deflated_sharpe(
    sharpe: float, bars: float, skew: float, kurtosis: float, trials: int, variance: float, bars_a_year: float
) -> float | None:
    """The probability that the true Sharpe is above that of the luckiest of ``trials`` strategies that know nothing.

    ``sharpe`` is by the year, over ``bars`` bars with this ``skew`` and ``kurtosis`` (3 is normal); ``variance`` is
    that of the trials' Sharpe ratios by the year. None where there are too few bars. Bailey and López de Prado 2014,
    "The deflated Sharpe ratio".
    """
    if bars < 2 or bars_a_year <= 0:
        return None
    own, spread = sharpe / math.sqrt(bars_a_year), math.sqrt(max(variance, 0.0) / bars_a_year)
    normal = NormalDist()
    luck = 0.0
    if trials > 1:
        best, next_best = (normal.inv_cdf(1 - 1 / (trials * scale)) for scale in (1.0, math.e))
        luck = spread * ((1 - _EULER) * best + _EULER * next_best)
    error = 1 - skew * own + (kurtosis - 1) / 4 * own * own
    if error <= 0:
        return None
    return normal.cdf((own - luck) * math.sqrt(bars - 1) / math.sqrt(error))
