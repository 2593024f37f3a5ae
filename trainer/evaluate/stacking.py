"""How much of what a net adds to a known forecast is kept: a weight from 0 to 1, fitted on validation rows.

A net fitted to what HAR leaves over has been seen to be right about its train rows and wrong about later ones, above
all where targets overlap and a month has only thirty days that don't. Stacking (Wolpert 1992; Breiman 1996, "Stacked
regressions") uses rows that it was not fitted on: the least-squares weight of the net's output is how much of it came
true. That weight is itself uncertain, so it is shrunk towards 0, where the known forecast stays as it is, by the
positive-part factor of James and Stein (1961) for one estimate: ``1 − (standard error / weight)²``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trainer.evaluate.metrics import Floats, long_run_variance, newey_west_lags


def stacking_weight(added: NDArray[np.floating], missing: NDArray[np.floating], horizon: int) -> float:
    """The weight of ``added``, the net's outputs ``[n]``, against ``missing``, what the known forecast was short of.

    From 0, nothing is kept, to 1, all of it. Targets overlap for ``horizon`` rows, so the standard error is Newey and
    West's. 0 where the net adds nothing or what it adds did not come true.
    """
    outputs, wanted = np.asarray(added, np.float64), np.asarray(missing, np.float64)
    square = float(np.mean(np.square(outputs)))
    if square <= 0:
        return 0.0
    weight = float(np.mean(outputs * wanted)) / square
    if weight <= 0:
        return 0.0
    scores: Floats = outputs * (wanted - weight * outputs)
    variance = long_run_variance(scores, newey_west_lags(len(scores), horizon)) / (len(scores) * square**2)
    return min(1.0, weight * max(0.0, 1.0 - variance / weight**2))
