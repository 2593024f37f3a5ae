"""GRU and LSTM over a whole window with the gradient written by hand, for XLA on a CPU.

Keras leaves the gradient of its loop over time to automatic differentiation, which stores and reads back every
intermediate and adds up each weight's gradient step by step. Here the inputs' product with the kernel is one matrix
product over all steps, the loops keep only the gates, and each weight's gradient is one matrix product at the end.
Formulas: those of Keras' layers (GRU with ``reset_after``), differentiated; a test compares them with Keras'.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from trainer.networks.backend import keras


def run_gru(layer: keras.layers.GRU, x: Any) -> Any:
    """What a Keras GRU gives for ``[batch, steps, features]``: every state, or the last ``[batch, units]``."""
    kernel, recurrent, bias = (tf.convert_to_tensor(weight) for weight in layer.weights[:3])
    states = _gru(tf.transpose(x, [1, 0, 2]), kernel, recurrent, bias)
    return tf.transpose(states, [1, 0, 2]) if layer.return_sequences else states[-1]


def run_lstm(layer: keras.layers.LSTM, x: Any) -> Any:
    """What a Keras LSTM gives, also one that goes backwards."""
    kernel, recurrent, bias = (tf.convert_to_tensor(weight) for weight in layer.weights[:3])
    steps = tf.transpose(x, [1, 0, 2])
    states = _lstm(tf.reverse(steps, [0]) if layer.go_backwards else steps, kernel, recurrent, bias)
    return tf.transpose(states, [1, 0, 2]) if layer.return_sequences else states[-1]


@tf.custom_gradient  # type: ignore[untyped-decorator]
def _gru(x: Any, kernel: Any, recurrent: Any, bias: Any) -> tuple[Any, Callable[[Any], Any]]:
    steps, batch, features = x.shape
    units = recurrent.shape[0]
    flat = tf.reshape(x, [steps * batch, features])
    inputs = _array(tf.reshape(tf.matmul(flat, kernel) + bias[0], [steps, batch, 3 * units]))
    zero = tf.zeros([batch, units])

    def forward(t: Any, h: Any, states: Any, gates: Any) -> tuple[Any, ...]:
        given, inner = inputs.read(t), tf.matmul(h, recurrent) + bias[1]
        zr = tf.sigmoid(given[:, : 2 * units] + inner[:, : 2 * units])
        z, r = zr[:, :units], zr[:, units:]
        n = tf.tanh(given[:, 2 * units :] + r * inner[:, 2 * units :])
        h = n + z * (h - n)
        return t + 1, h, states.write(t, h), gates.write(t, tf.concat([zr, n, inner[:, 2 * units :]], 1))

    _, _, states, gates = _loop(steps, forward, 0, (zero, _empty(steps), _empty(steps)))
    states, gates = states.stack(), gates.stack()

    def gradient(d_states: Any) -> tuple[Any, ...]:
        before = tf.concat([zero[None], states[:-1]], 0)
        turned = tf.transpose(recurrent)
        reads = [_array(each) for each in (d_states, before, gates)]

        def backward(t: Any, d: Any, d_inputs: Any, d_inners: Any) -> tuple[Any, ...]:
            d_here, h, gate = (each.read(t) for each in reads)
            d += d_here
            z, r, n, inner = tf.split(gate, 4, axis=1)
            d_n = d * (1 - z) * (1 - n * n)
            d_z = d * (h - n) * z * (1 - z)
            d_r = d_n * inner * r * (1 - r)
            d_inner = tf.concat([d_z, d_r, d_n * r], 1)
            d_input = tf.concat([d_z, d_r, d_n], 1)
            return t - 1, d * z + tf.matmul(d_inner, turned), d_inputs.write(t, d_input), d_inners.write(t, d_inner)

        _, _, d_inputs, d_inners = _loop(steps, backward, steps - 1, (zero, _empty(steps), _empty(steps)))
        d_input = tf.reshape(d_inputs.stack(), [steps * batch, 3 * units])
        d_inner = tf.reshape(d_inners.stack(), [steps * batch, 3 * units])
        return (
            tf.reshape(tf.matmul(d_input, kernel, transpose_b=True), x.shape),
            tf.matmul(flat, d_input, transpose_a=True),
            tf.matmul(tf.reshape(before, [steps * batch, units]), d_inner, transpose_a=True),
            tf.stack([tf.reduce_sum(d_input, 0), tf.reduce_sum(d_inner, 0)]),
        )

    return states, gradient


@tf.custom_gradient  # type: ignore[untyped-decorator]
def _lstm(x: Any, kernel: Any, recurrent: Any, bias: Any) -> tuple[Any, Callable[[Any], Any]]:
    steps, batch, features = x.shape
    units = recurrent.shape[0]
    flat = tf.reshape(x, [steps * batch, features])
    inputs = _array(tf.reshape(tf.matmul(flat, kernel) + bias, [steps, batch, 4 * units]))
    zero = tf.zeros([batch, units])

    def forward(t: Any, h: Any, c: Any, states: Any, cells: Any, gates: Any) -> tuple[Any, ...]:
        given = inputs.read(t) + tf.matmul(h, recurrent)
        i_f = tf.sigmoid(given[:, : 2 * units])
        g = tf.tanh(given[:, 2 * units : 3 * units])
        o = tf.sigmoid(given[:, 3 * units :])
        c = i_f[:, units:] * c + i_f[:, :units] * g
        h = o * tf.tanh(c)
        return t + 1, h, c, states.write(t, h), cells.write(t, c), gates.write(t, tf.concat([i_f, g, o], 1))

    carried = (zero, zero, _empty(steps), _empty(steps), _empty(steps))
    states, cells, gates = (each.stack() for each in _loop(steps, forward, 0, carried)[3:])

    def gradient(d_states: Any) -> tuple[Any, ...]:
        before = tf.concat([zero[None], states[:-1]], 0)
        turned = tf.transpose(recurrent)
        reads = [_array(each) for each in (d_states, gates, cells, tf.concat([zero[None], cells[:-1]], 0))]

        def backward(t: Any, d_h: Any, d_c: Any, d_gates: Any) -> tuple[Any, ...]:
            d_here, gate, cell, cell_before = (each.read(t) for each in reads)
            d_h += d_here
            i, f, g, o = tf.split(gate, 4, axis=1)
            squashed = tf.tanh(cell)
            d_c += d_h * o * (1 - squashed * squashed)
            d_gate = tf.concat(
                [
                    d_c * g * i * (1 - i),
                    d_c * cell_before * f * (1 - f),
                    d_c * i * (1 - g * g),
                    d_h * squashed * o * (1 - o),
                ],
                1,
            )
            return t - 1, tf.matmul(d_gate, turned), d_c * f, d_gates.write(t, d_gate)

        d_gates = _loop(steps, backward, steps - 1, (zero, zero, _empty(steps)))[3]
        d_gate = tf.reshape(d_gates.stack(), [steps * batch, 4 * units])
        return (
            tf.reshape(tf.matmul(d_gate, kernel, transpose_b=True), x.shape),
            tf.matmul(flat, d_gate, transpose_a=True),
            tf.matmul(tf.reshape(before, [steps * batch, units]), d_gate, transpose_a=True),
            tf.reduce_sum(d_gate, 0),
        )

    return states, gradient


def _array(values: Any) -> tf.TensorArray:
    return tf.TensorArray(values.dtype, values.shape[0], element_shape=values.shape[1:]).unstack(values)


def _empty(steps: int) -> tf.TensorArray:
    return tf.TensorArray(tf.float32, steps)


def _loop(steps: int, body: Callable[..., tuple[Any, ...]], start: int, carried: tuple[Any, ...]) -> tuple[Any, ...]:
    found: tuple[Any, ...] = tf.while_loop(
        lambda t, *_: tf.logical_and(t >= 0, t < steps),
        body,
        (tf.constant(start), *carried),
        maximum_iterations=steps,
    )
    return found
