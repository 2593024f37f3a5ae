"""The expected outputs of a model, in NumPy, from the net's outputs for its windows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from atb.contract.bundle import LOWER, PRICE, RETURN, UPPER, VOLATILITY
from atb.contract.spec import band_levels
from trainer.bars.frame import Floats
from trainer.evaluate.bands import ewma_weights, make_bands
from trainer.export.models import Trained
from trainer.features.har import har_inputs
from trainer.features.sets import Features
from trainer.features.volatility import VARIANCE_FLOOR


def expected_outputs(
    trained: Trained, scaled: npt.NDArray[np.float64], windows: Features, last_close: Floats
) -> dict[str, Floats]:
    """Every output but SCALED, float64 ``[n]``, or ``[n, levels]`` of the bands.

    ``scaled``: the net's outputs for the raw ``windows`` ``[n, L, F]``, float64 ``[n]``.
    """
    spec, answers, found = trained.spec, trained.target.inverse_transform(scaled), {}
    if trained.har is not None:
        answers = answers + trained.har.forecast(
            har_inputs(trained.features.columns, windows[:, -1], np.arange(len(windows)))
        )
    if spec.target == "volatility":
        centre, volatility = np.zeros(len(answers)), np.exp(answers)
        found[VOLATILITY] = volatility
    else:
        centre, volatility = answers, _window_volatility(trained, windows)
        found |= {RETURN: answers, PRICE: last_close * np.exp(answers)}
    bands = make_bands(band_levels(spec.bands), trained.quantiles, last_close, centre, volatility, spec.horizon)
    return found | {LOWER: bands.lower, UPPER: bands.upper}


def _window_volatility(trained: Trained, windows: Features) -> Floats:
    """EWMA over the returns within each window."""
    if trained.features.has_price_level:
        closes = windows[:, :, trained.features.columns.index("close")].astype(np.float64)
        returns = np.diff(np.log(closes), axis=1)
    else:
        returns = windows[:, 1:, trained.features.columns.index("log_return")].astype(np.float64)
    variance = np.square(returns) @ ewma_weights(returns.shape[1])
    volatility: Floats = np.sqrt(np.maximum(variance, VARIANCE_FLOOR))
    return volatility
