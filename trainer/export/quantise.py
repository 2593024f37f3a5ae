"""``model.int8.onnx``: the same net with 8-bit weights, where its error allows.

Weights of LSTM and dense layers are quantised, activations as they come. Convolutions stay in float32, since
ConvInteger is slower, and so do GRUs, which ONNX Runtime has no 8-bit form of.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic

BOUND = 0.05
"""On the error's root mean square as a share of the forecasts' spread: the published tolerance of 5 %."""
LEVELS = (0.8, 1.0, 1.25)
"""Prices at which a model whose features hold the price is judged, as a share of those of the test part. It serves on
bars after its cut, at prices that it was not fitted on: there its forecasts differ less, and 8 bits err more."""


def quantise(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with 8-bit weights in its dense and LSTM nodes."""
    prepared = onnx.ModelProto()
    prepared.CopyFrom(model)
    # Its advice to preprocess first is for graphs that still have something to fold.
    onnx.helper.set_model_props(prepared, {**_properties(model), "onnx.quant.pre_process": "onnxruntime.quant"})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "int8.onnx"
        quantize_dynamic(
            prepared,
            path,
            op_types_to_quantize=["MatMul", "LSTM"],
            per_channel=True,
            # Seven bits: processors without VNNI add two products in 16 bits, which eight would overflow without a word
            reduce_range=True,
            weight_type=QuantType.QInt8,
        )
        quantised = onnx.load(path)
    onnx.helper.set_model_props(quantised, _properties(model))
    return quantised


def error_share(exact: npt.NDArray[np.float32], quantised: npt.NDArray[np.float32]) -> float | None:
    """The root mean square of the error over the deviation of the exact forecasts; None where they are constant."""
    spread = float(np.std(exact, dtype=np.float64)) if exact.size else 0.0
    error = float(np.sqrt(np.mean((quantised.astype(np.float64) - exact) ** 2)))
    return error / spread if spread > 0 else None


def _properties(model: onnx.ModelProto) -> dict[str, str]:
    return {prop.key: prop.value for prop in model.metadata_props}
