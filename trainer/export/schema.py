"""``feature_schema.json`` and ``scaler.json``: how to use a bundle's models without reading our code."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx

from atb.contract import bundle
from atb.contract.spec import band_levels
from trainer.bars.frame import COLUMNS
from trainer.evaluate.bands import DECAY
from trainer.export.models import Trained
from trainer.features import volatility
from trainer.features.sets import MEANS, PERIOD, FeatureSet

_TARGETS = {
    "return": "log(close of the bar `horizon` bars after the last one / last close)",
    "volatility": "log of the volatility per bar over the `horizon` bars after the last one: the root of the mean of "
    "log(high / low)² / (4 log 2), each at least that of a range of one basis point",
}
_USES = {
    "return": "Outputs: scaled = what the net says, return = log-return, price = last close × exp(return); lower and "
    "upper = the price bands by level, last close × exp(return ∓ volatilities × v × √horizon) with v the root of an "
    f"exponential mean (weight {DECAY}) of the window's squared log-returns.",
    "volatility": "Outputs: scaled = what the net says; volatility = per bar, in log-return, by the year × √(bars in a "
    "year); lower and upper = the price bands by level, last close × exp(∓ volatilities × volatility × √horizon).",
}
_PRICE, _SHARE = "price", "share of the close"
_UNITS = {
    "open": _PRICE,
    "high": _PRICE,
    "low": _PRICE,
    "close": _PRICE,
    "volume": "base asset",
    "rsi": f"0 … 100, {PERIOD} bars by Wilder",
    "log_return": "log-return over one bar",
    "range": _SHARE,
    "body": _SHARE,
    "macd_share": _SHARE,
    "atr_share": _SHARE,
    "volume_change": "-1 … 1",
    **{
        f"log_volatility_{window}": f"log of the volatility per bar over {window} bars, from their ranges by Parkinson"
        for window in volatility.WINDOWS
    },
    "return_over_volatility": "log_return over the volatility of 24 bars, -10 … 10",
    "volume_share": f"(v - mean)/(v + mean) of {volatility.VOLUME_BARS} bars, -1 … 1",
    **dict.fromkeys(volatility.CLOCK, "when the next bar opens, -1 … 1"),
    **{f"sma_{window}": f"{_PRICE}, mean of {window} closes" for window in MEANS},
    **{f"sma_{window}_distance": f"close over the mean of {window} closes, less 1" for window in MEANS},
}


_HAR_USE = " The forecast is scaled · scale + mean + HAR's; the target's scale includes the share that is kept."


def describe_features(trained: Trained, models: dict[str, onnx.ModelProto]) -> dict[str, Any]:
    """The content of feature_schema.json: columns with units, and each model's inputs and outputs.

    ``models`` holds the files that were written, by name.
    """
    spec, features = trained.spec, trained.features
    return {
        "schema_version": "1.0",
        "symbol": spec.symbol,
        "timeframe": spec.timeframe,
        "features": features.name,
        "sequence_length": spec.sequence_length,
        "horizon": spec.horizon,
        "forecasts": spec.target,
        "target": _TARGETS[spec.target],
        "bands": {"levels": list(band_levels(spec.bands)), "volatilities": list(trained.quantiles)},
        "columns": [{"name": name, "unit": _unit(features, name)} for name in features.columns],
        "bar_columns": list(COLUMNS),
        "extra_columns": list(features.extras),
        "files": [
            {
                "file": name,
                "rows": trained.bar_rows if name == bundle.MODEL_FROM_BARS else spec.sequence_length,
                "inputs": [_describe_value(value) for value in model.graph.input],
                "outputs": [_describe_value(value) for value in model.graph.output],
            }
            for name, model in models.items()
        ],
        "use": "Rows are oldest first and end with the last closed bar; values are raw, scaling is inside the model. "
        + _USES[spec.target],
    }


def _unit(features: FeatureSet, column: str) -> str:
    if column in features.extras:
        return "as in the source"
    return _UNITS[column] if features.base.own is None else f"as the feature set {features.base.name} defines it"


def describe_scaling(trained: Trained) -> dict[str, Any]:
    """The content of scaler.json. Both scalers are inside the ONNX models already."""
    return {
        "schema_version": "1.0",
        "columns": list(trained.features.columns),
        "features": trained.scaler.to_dict(),
        "target": trained.target.to_dict(),
        **({} if trained.har is None else {"har": trained.har.to_dict()}),
        "use": "scaled = (value - mean) / scale; fitted on train rows. The ONNX models scale by themselves."
        + (_HAR_USE if trained.har is not None else ""),
    }


def _describe_value(value: onnx.ValueInfoProto) -> dict[str, Any]:
    tensor = value.type.tensor_type
    return {
        "name": value.name,
        "type": np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)).name,
        "shape": [dim.dim_param or dim.dim_value for dim in tensor.shape.dim],
    }
