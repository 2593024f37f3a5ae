"""The four nets as ONNX nodes, written from the trained weights.

Recurrent layers become native GRU and LSTM nodes: a Loop is ten times slower at batch 1.
Batch normalisation is folded into the convolution before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.export.graph import Graph
from trainer.networks.architecture import EPSILON, HEAD, Architecture, Conv, Recurrent, norm_name

Array = npt.NDArray[np.float32]
Weights = Mapping[str, Sequence[Array]]
"""A net's arrays by layer name, in Keras' order within a layer."""


def read_weights(model: Any) -> dict[str, list[Array]]:
    """The arrays of every layer of a Keras model that has some."""
    return {layer.name: layer.get_weights() for layer in model.layers if layer.weights}


def write_net(graph: Graph, scaled_features: str, plan: Architecture, weights: Weights) -> str:
    """Append the net: scaled features ``[batch, steps, features]`` → scaled log-return ``[batch, 1]``."""
    x = graph.node("Transpose", scaled_features, perm=[0, 2, 1])
    for name, conv in plan.named_convs:
        x = _convolve(graph, x, conv, weights[name], weights[norm_name(name)] if conv.normalise else None)
    x = graph.node("Transpose", x, perm=[2, 0, 1])
    last, _ = plan.named_recurrents[-1]
    for name, layer in plan.named_recurrents:
        x = _recur(graph, x, layer, weights[name], name != last)
        if layer.normalise:
            gamma, beta = (graph.constant(array, np.float32) for array in weights[norm_name(name)])
            x = graph.node("LayerNormalization", x, gamma, beta, axis=-1, epsilon=EPSILON)
    for name, _ in plan.named_denses:
        x = graph.node("Relu", _connect(graph, x, weights[name]))
    return _connect(graph, x, weights[HEAD])


def _convolve(graph: Graph, x: str, conv: Conv, kernel_and_bias: Sequence[Array], norm: Sequence[Array] | None) -> str:
    """``[batch, channels, steps]`` → ``[batch, filters, steps]``, halved by the pooling."""
    kernel, bias = (np.asarray(array, np.float64) for array in kernel_and_bias)
    if norm is not None:
        gamma, beta, mean, variance = (np.asarray(array, np.float64) for array in norm)
        gain = gamma / np.sqrt(variance + EPSILON)
        kernel, bias = kernel * gain, (bias - mean) * gain + beta
    pads = [1, 1] if conv.padding == "same" else [0, 0]
    weight, offset = graph.constant(kernel.transpose(2, 1, 0), np.float32), graph.constant(bias, np.float32)
    x = graph.node("Relu", graph.node("Conv", x, weight, offset, kernel_shape=[3], pads=pads))
    return graph.node("MaxPool", x, kernel_shape=[2], strides=[2]) if conv.pool else x


def _recur(graph: Graph, x: str, layer: Recurrent, arrays: Sequence[Array], sequences: bool) -> str:
    """``[steps, batch, inputs]`` → ``[steps, batch, units]``, or the last state ``[batch, units]``."""
    convert = _gru_arrays if layer.cell == "gru" else _lstm_arrays
    ways = [convert(*arrays[start : start + 3]) for start in range(0, len(arrays), 3)]
    inputs = [graph.constant(np.stack(parts), np.float32) for parts in zip(*ways, strict=True)]
    attributes: dict[str, Any] = {"hidden_size": layer.units}
    if layer.cell == "gru":
        attributes["linear_before_reset"] = 1
    if layer.bidirectional:
        attributes["direction"] = "bidirectional"
    if not sequences:
        return graph.squeeze(graph.node(layer.cell.upper(), x, *inputs, take=1, **attributes), 0)
    states = graph.node(layer.cell.upper(), x, *inputs, **attributes)
    if not layer.bidirectional:
        return graph.squeeze(states, 1)
    beside = graph.node("Transpose", states, perm=[0, 2, 1, 3])
    return graph.node("Reshape", beside, graph.constant([0, 0, 2 * layer.units], np.int64))


def _gru_arrays(kernel: Array, recurrent: Array, bias: Array) -> tuple[Array, Array, Array]:
    """Keras' and ONNX' gates have one order, z r h; Keras keeps two rows of biases as ONNX does."""
    return kernel.T, recurrent.T, bias.reshape(-1)


def _lstm_arrays(kernel: Array, recurrent: Array, bias: Array) -> tuple[Array, Array, Array]:
    """Keras' gates come as i f c o, ONNX' as i o f c; Keras has no second bias."""

    def reorder(array: Array) -> Array:
        entry, forget, cell, out = np.split(array, 4, axis=-1)
        return np.concatenate([entry, out, forget, cell], axis=-1)

    return reorder(kernel).T, reorder(recurrent).T, np.concatenate([reorder(bias), np.zeros_like(bias)])


def _connect(graph: Graph, x: str, kernel_and_bias: Sequence[Array]) -> str:
    kernel, bias = (graph.constant(array, np.float32) for array in kernel_and_bias)
    return graph.node("Gemm", x, kernel, bias)
