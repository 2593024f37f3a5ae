"""A small writer of ONNX graphs: nodes in order, constants by value, names made here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

OPSET = 17
"""The first with LayerNormalization; every runtime of the last years reads it."""
IR_VERSION = 8

Shape = Sequence[int | str]


class Graph:
    """An ONNX graph being written. Values are named by strings, as in ONNX itself."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._initializers: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []

    def input(self, name: str, dtype: npt.DTypeLike, shape: Shape) -> str:
        """Declare an input; a text in ``shape`` is a free dimension."""
        self._inputs.append(helper.make_tensor_value_info(name, _onnx_type(dtype), list(shape)))
        return name

    def output(self, name: str, value: str, shape: Shape, dtype: npt.DTypeLike = np.float32) -> None:
        """Declare an output that is ``value``."""
        self._nodes.append(helper.make_node("Identity", [value], [name], name=name))
        self._outputs.append(helper.make_tensor_value_info(name, _onnx_type(dtype), list(shape)))

    def constant(self, value: npt.ArrayLike, dtype: npt.DTypeLike) -> str:
        """A constant; equal ones are stored once."""
        array = np.ascontiguousarray(value, dtype=dtype).reshape(np.shape(value))
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            name = f"constant_{len(self._constants)}"
            self._constants[key] = name
            self._initializers.append(numpy_helper.from_array(array, name))
        return self._constants[key]

    def node(self, op: str, *inputs: str, outputs: int = 1, take: int = 0, **attributes: Any) -> str:
        """Append a node and name its ``take``-th output; an output before it is left out."""
        name = f"{op.lower()}_{len(self._nodes)}"
        names = ["" if index != take else name for index in range(max(outputs, take + 1))]
        self._nodes.append(helper.make_node(op, list(inputs), names, name=name, **attributes))
        return name

    def cast(self, value: str, dtype: npt.DTypeLike) -> str:
        """The value in another precision."""
        return self.node("Cast", value, to=_onnx_type(dtype))

    def slice(self, value: str, start: int, stop: int, axis: int) -> str:
        """``value[start:stop]`` along one axis; indices may count from the end."""
        bounds = (self.constant([bound], np.int64) for bound in (start, stop, axis))
        return self.node("Slice", value, *bounds)

    def squeeze(self, value: str, axis: int) -> str:
        """The value without an axis of length 1."""
        return self.node("Squeeze", value, self.constant([axis], np.int64))

    def inline(self, model: onnx.ModelProto, value: str) -> str:
        """Append a model with one input, which is ``value``, and one output, whose name is returned."""
        graph = model.graph
        self._initializers.extend(graph.initializer)
        self._nodes.append(helper.make_node("Identity", [value], [graph.input[0].name], name="net_input"))
        self._nodes.extend(graph.node)
        return str(graph.output[0].name)

    def finish(self, name: str, metadata: Mapping[str, str]) -> onnx.ModelProto:
        """The whole model, checked with full shape inference. Raises onnx.checker.ValidationError."""
        graph = helper.make_graph(self._nodes, name, self._inputs, self._outputs, self._initializers)
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="atb"
        )
        helper.set_model_props(model, dict(metadata))
        onnx.checker.check_model(model, full_check=True)
        return model


def _onnx_type(dtype: npt.DTypeLike) -> int:
    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))
