"""What a runtime loses that computes in float32 where our ONNX files say float64, as TensorRT does without a word.

    python -m benchmarks.demotion

Each net with random weights forecasts the same windows twice: as exported, and with every float64 of its graph
made a float32. Prints the largest difference of the scaled output for random walks of 1 %, 0.1 % and 0.01 % a bar,
beside the bound that an export is held to.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from atb.contract.bundle import SCALED
from atb.contract.presets import MODEL_TYPES
from tests.trainer.export.trained import HOUR, Fitted, make_fitted
from trainer.bars.frame import Bars
from trainer.export.models import features_model
from trainer.export.parity import BOUND, ask_reference, choose_ends, run_features
from trainer.features.windows import gather_windows
from trainer.forecast import open_session

MOVES = (0.01, 0.001, 0.0001)
PRICE = 60_000.0


def walk(move: float, rows: int = 700) -> Bars:
    """A random walk whose bars move by ``move`` of the price."""
    rng = np.random.default_rng(7)
    close = PRICE * np.exp(np.cumsum(rng.normal(0, move, rows)))
    opened = np.concatenate([[PRICE], close[:-1]])
    high = np.maximum(opened, close) * (1 + rng.uniform(0, move / 2, rows))
    low = np.minimum(opened, close) * (1 - rng.uniform(0, move / 2, rows))
    values = np.column_stack([opened, high, low, close, rng.lognormal(8, 1, rows)])
    return Bars("BTCUSDT", "1h", 500_000 * HOUR + HOUR * np.arange(rows), values, {}, synthetic=True)


def demote(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with every float64 constant, cast, input and output in float32."""
    single = onnx.ModelProto()
    single.CopyFrom(model)
    for tensor in single.graph.initializer:
        if tensor.data_type == TensorProto.DOUBLE:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name))
    for node in single.graph.node:
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.DOUBLE:
                attribute.i = TensorProto.FLOAT
    for value in (*single.graph.input, *single.graph.output):
        if value.type.tensor_type.elem_type == TensorProto.DOUBLE:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
    del single.graph.value_info[:]
    onnx.checker.check_model(single, full_check=True)
    return single


def largest_difference(fitted: Fitted) -> float:
    """Of the scaled output, over the windows that an export is compared on."""
    trained = fitted.trained
    ends = choose_ends(fitted.ends)
    windows = gather_windows(fitted.flat, ends, trained.spec.sequence_length)
    reference = ask_reference(trained, fitted.predict, windows, fitted.bars, ends)
    model = features_model(trained)
    answers: list[Any] = [
        run_features(open_session(each.SerializeToString()), reference.windows, reference.last_close)[SCALED]
        for each in (model, demote(model))
    ]
    return float(np.abs(answers[0] - answers[1]).max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", default="classic,relative", help="feature sets")
    arguments = parser.parse_args()
    print(f"the bound of an export is {BOUND:.0e} of the scaled output")
    print(f"{'net':<10}{'features':<12}" + "".join(f"{f'{move:.2%} a bar':>16}" for move in MOVES))
    for net in MODEL_TYPES:
        for features in arguments.features.split(","):
            found = [largest_difference(make_fitted(net, features, walk(move))) for move in MOVES]
            print(f"{net:<10}{features:<12}" + "".join(f"{each:>16.1e}" for each in found), flush=True)


if __name__ == "__main__":
    main()
