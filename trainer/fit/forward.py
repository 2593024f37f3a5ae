"""A net's answer in training, layer by layer: Keras' own kernels, or ours where XLA compiles for a CPU.

Dropout is always drawn here, by Philox: the same masks as Keras draws without XLA, whatever compiles the step. XLA's
own generator gives others and takes longer than all the rest of a step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from trainer.fit.recurrent import run_gru, run_lstm
from trainer.networks.backend import keras


@dataclass(frozen=True)
class BatchPart:
    """Which part of a batch this replica has: rows ``number × size …`` of ``batch``."""

    number: Any
    size: int
    batch: int


def run_forward(model: keras.Model, x: Any, *, own_kernels: bool, share: BatchPart | None = None) -> Any:
    """The net's forecast in training, scaled ``[batch, 1]``, for scaled windows ``[batch, steps, features]``.

    With ``own_kernels`` shapes must be known. With a ``share`` of a batch, dropout draws for the whole and takes its
    part, so that many replicas learn what one would. The nets are chains: the order of layers is the order of calls.
    """
    for layer in model.layers[1:]:
        if isinstance(layer, keras.layers.Dropout):
            x = _drop(layer, x, share)
        elif isinstance(layer, keras.layers.BatchNormalization):
            x = layer(x, training=True)
        else:
            x = _run_own(layer, x) if own_kernels else layer(x)
    return x


def _run_own(layer: keras.layers.Layer, x: Any) -> Any:
    if isinstance(layer, keras.layers.Conv1D):
        return _convolve(layer, x)
    if isinstance(layer, keras.layers.MaxPooling1D):
        even = x.shape[1] // 2 * 2
        return tf.maximum(x[:, 0:even:2], x[:, 1:even:2])
    if isinstance(layer, keras.layers.GRU):
        return run_gru(layer, x)
    if isinstance(layer, keras.layers.LSTM):
        return run_lstm(layer, x)
    if isinstance(layer, keras.layers.Bidirectional):
        backward = run_lstm(layer.backward_layer, x)
        return tf.concat([run_lstm(layer.forward_layer, x), tf.reverse(backward, [1])], -1)
    return layer(x)


def _convolve(layer: keras.layers.Conv1D, x: Any) -> Any:
    """Kernel 3, stride 1 as one matrix product: XLA's convolution gradients are slow on a CPU."""
    if layer.padding == "same":
        x = tf.pad(x, [[0, 0], [1, 1], [0, 0]])
    batch, steps, features = x.shape[0], x.shape[1] - 2, x.shape[2]
    columns = tf.reshape(tf.concat([x[:, k : k + steps] for k in range(3)], -1), [batch * steps, 3 * features])
    kernel = tf.reshape(tf.convert_to_tensor(layer.kernel), [3 * features, layer.filters])
    return tf.reshape(tf.matmul(columns, kernel) + tf.convert_to_tensor(layer.bias), [batch, steps, layer.filters])


def _drop(layer: keras.layers.Dropout, x: Any, share: BatchPart | None) -> Any:
    seed = tf.cast(layer.seed_generator.next(), tf.int32)
    shape = tf.shape(x) if share is None else tf.concat([[share.batch], tf.shape(x)[1:]], 0)
    bits = tf.random.stateless_uniform(shape, seed, minval=None, maxval=None, dtype=tf.uint32, alg="philox")
    if share is not None:
        bits = tf.ensure_shape(bits[share.number * share.size : (share.number + 1) * share.size], x.shape)
    # The low 23 bits make the fraction, as in TensorFlow's own kernel; XLA's version of it takes the high ones
    uniform = tf.bitcast((bits & 0x7FFFFF) | 0x3F800000, tf.float32) - 1.0
    return tf.where(uniform >= layer.rate, x / (1 - layer.rate), tf.zeros_like(x))
