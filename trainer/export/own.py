"""A net of the user's own as ONNX nodes, by tf2onnx: any layers that TensorFlow and ONNX share."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import onnx
import onnx.compose

from atb.errors import ExportError
from trainer.export.graph import OPSET

INPUT = "scaled_windows"


def convert_net(model: Any, name: str) -> onnx.ModelProto:
    """The net for scaled windows float32 ``[batch, steps, features]``. Raises ExportError for a layer that has none."""
    import tensorflow as tf
    import tf2onnx

    logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)
    shape = tf.TensorSpec((None, *model.input_shape[1:]), tf.float32, name=INPUT)
    traced = tf.function(lambda windows: model(windows, training=False), autograph=False)
    try:
        converted, _ = tf2onnx.convert.from_function(traced, input_signature=[shape], opset=OPSET)
    except Exception as error:  # its own exceptions have no common class
        raise ExportError(f"--net {name} can't be exported by tf2onnx: {str(error).splitlines()[0]}") from None
    _rewrite_erfc(converted.graph)
    for node in converted.graph.node:
        if node.domain not in ("", "ai.onnx") or not onnx.defs.has(node.op_type, max_inclusive_version=OPSET):
            raise ExportError(f"--net {name} can't be exported: ONNX has no {node.op_type}, which {node.name} needs")
    return onnx.compose.add_prefix(converted, "net/")


def _rewrite_erfc(graph: onnx.GraphProto) -> None:
    """Keras' GELU is written with erfc, which ONNX has as 1 - erf."""
    if not any(node.op_type == "Erfc" for node in graph.node):
        return
    one = "erfc_one"
    graph.initializer.append(onnx.numpy_helper.from_array(np.array(1.0, np.float32), one))
    nodes = []
    for node in graph.node:
        if node.op_type != "Erfc":
            nodes.append(node)
            continue
        erf = f"{node.name}/erf"
        nodes.append(onnx.helper.make_node("Erf", list(node.input), [erf], name=erf))
        nodes.append(onnx.helper.make_node("Sub", [one, erf], list(node.output), name=node.name))
    del graph.node[:]
    graph.node.extend(nodes)
