"""Which operations the exported graphs are made of, so that support by other runtimes is known in advance."""

from __future__ import annotations

import itertools

import onnx
import pytest

from atb.contract.features import FEATURE_SETS
from atb.contract.presets import MODEL_TYPES, ModelType
from tests.trainer.export.tensorrt import build_by_tensorrt, find_tensorrt
from tests.trainer.export.trained import make_bars, make_fitted
from trainer.export.models import features_model

ALLOWED = {
    "Add", "Cast", "Concat", "Conv", "Div", "Exp", "GRU", "Gemm", "Identity", "LSTM", "LayerNormalization", "Log",
    "Max", "MaxPool", "Min", "Mul", "Neg", "Pad", "ReduceSum", "Relu", "Reshape", "Shape", "Slice", "Sqrt", "Squeeze",
    "Sub", "Transpose", "Unsqueeze",
}  # fmt: skip
"""All standard ONNX; no loops, no 8-bit integers, and nothing of a vendor's."""

MODELS = [
    (net, features, target)
    for net, features, target in itertools.product(MODEL_TYPES, FEATURE_SETS, ("return", "volatility"))
    if target == "return" or features == "volatility"
]
CHEAP = [case for case in MODELS if case[0] == "fast" or case[1:] == ("volatility", "volatility")]
"""Every net and every feature set once: an operation is of the one or of the other."""


def make_model(net: ModelType, features: str, target: str) -> onnx.ModelProto:
    bars = make_bars(400, 50.0)
    residual = "har" if target == "volatility" else "none"
    return features_model(make_fitted(net, features, bars, target=target, residual=residual).trained)


@pytest.mark.parametrize(("net", "features", "target"), MODELS if find_tensorrt() else CHEAP)
def test_a_graph_is_of_the_allowed_operators_and_tensorrt_builds_it_where_it_is_installed(
    net: ModelType, features: str, target: str
) -> None:
    model = make_model(net, features, target)
    assert {node.op_type for node in model.graph.node} <= ALLOWED
    assert {node.domain for node in model.graph.node} <= {""}
    if find_tensorrt():
        assert build_by_tensorrt(model.SerializeToString()) == []
