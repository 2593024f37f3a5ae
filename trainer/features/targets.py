"""What a net forecasts, and how volatility is computed from a window's own features."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from atb.contract.spec import Spec
from trainer.bars.frame import Bars, Floats, Times, segment_starts
from trainer.features.sets import Features, FeatureSet
from trainer.features.volatility import MEMORY, bar_variance, realised_volatility
from trainer.features.windows import log_returns


def target_values(spec: Spec, bars: Bars, ends: Times) -> Floats:
    """The target of the windows that end at ``ends``, float64: log-returns, or logs of the volatility per bar."""
    if spec.target == "return":
        return log_returns(bars.close, ends, spec.horizon)
    return realised_volatility(bar_variance(bars), ends, spec.horizon)


def history_needed(spec: Spec) -> int:
    """How many gapless bars up to an end its forecasts read beside the window: HAR and persistence of volatility."""
    return max(MEMORY, spec.horizon) if spec.target == "volatility" else 1


def has_history(spec: Spec, bars: Bars, ends: Times) -> npt.NDArray[np.bool_]:
    """Which ends have these bars."""
    starts = segment_starts(bars)
    begins = starts[np.searchsorted(starts, ends, side="right") - 1]
    whole: npt.NDArray[np.bool_] = ends - begins + 1 >= history_needed(spec)
    return whole


def feature_returns(features: FeatureSet, flat: Features) -> Floats:
    """The log-return of each row as its features have it, float64[n]: from the closes, or from the column itself.

    A row whose features are undefined, and one whose predecessor's are, has a 0 there: no window holds it.
    """
    if not features.has_price_level:
        return np.nan_to_num(flat[:, features.columns.index("log_return")].astype(np.float64))
    logs = np.log(flat[:, features.columns.index("close")].astype(np.float64))
    return np.nan_to_num(np.diff(logs, prepend=logs[:1]))
