"""The recurrent kernels of this package beside Keras' own layers."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.fit.recurrent import run_gru, run_lstm


def _answer_and_gradients(call: Any, layer: Any, x: Any) -> list[Any]:
    with tf.GradientTape() as tape:
        tape.watch(x)
        states = call(x)
        loss = tf.reduce_sum(tf.square(states) * tf.cast(tf.range(states.shape[-1]), tf.float32))
    return [states, *tape.gradient(loss, [x, *layer.trainable_variables])]


@pytest.mark.parametrize("sequences", [True, False])
@pytest.mark.parametrize("compiled", [True, False])
def test_the_gru_answers_and_learns_as_keras_does(sequences: bool, compiled: bool) -> None:
    layer = keras.layers.GRU(5, return_sequences=sequences, bias_initializer="random_normal")
    x = tf.constant(np.random.default_rng(1).normal(size=(3, 7, 4)), tf.float32)
    layer(x)
    ours = tf.function(lambda x: _answer_and_gradients(lambda x: run_gru(layer, x), layer, x), jit_compile=compiled)(x)
    for own, kerass in zip(ours, _answer_and_gradients(layer, layer, x), strict=True):
        np.testing.assert_allclose(own, kerass, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("sequences", [True, False])
@pytest.mark.parametrize("backwards", [True, False])
def test_the_lstm_answers_and_learns_as_keras_does(sequences: bool, backwards: bool) -> None:
    layer = keras.layers.LSTM(5, return_sequences=sequences, go_backwards=backwards, bias_initializer="random_normal")
    x = tf.constant(np.random.default_rng(1).normal(size=(3, 7, 4)), tf.float32)
    layer(x)
    ours = tf.function(lambda x: _answer_and_gradients(lambda x: run_lstm(layer, x), layer, x), jit_compile=True)(x)
    for own, kerass in zip(ours, _answer_and_gradients(layer, layer, x), strict=True):
        np.testing.assert_allclose(own, kerass, rtol=1e-4, atol=1e-5)
