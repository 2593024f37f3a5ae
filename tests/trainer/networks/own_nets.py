"""Nets as a user writes them."""

from __future__ import annotations

from typing import Any

import keras


@keras.saving.register_keras_serializable("tests")
class LastStep(keras.layers.Layer):  # type: ignore[misc]
    """A layer that Keras does not have: the last step of a sequence."""

    def call(self, x: Any) -> Any:
        return x[:, -1]


def attention(steps: int, features: int, seed: int) -> keras.Model:
    """A small attention block over the window."""
    window = keras.Input((steps, features), name="window")
    x = keras.layers.Dense(16)(window)
    seen = keras.layers.MultiHeadAttention(num_heads=2, key_dim=8, dropout=0.1, seed=seed)(x, x)
    x = keras.layers.LayerNormalization()(x + seen)
    x = keras.layers.Dense(16, activation="gelu", kernel_regularizer=keras.regularizers.L2(1e-4))(x)
    x = keras.layers.Concatenate()([LastStep()(x), keras.layers.GlobalAveragePooling1D()(x)])
    return keras.Model(window, keras.layers.Dense(1)(x))


def plain(steps: int, features: int, seed: int) -> keras.Model:
    """A dense layer over all."""
    window = keras.Input((steps, features))
    return keras.Model(window, keras.layers.Dense(1)(keras.layers.Flatten()(window)))


def two_outputs(steps: int, features: int, seed: int) -> keras.Model:
    """Not such a net."""
    window = keras.Input((steps, features))
    return keras.Model(window, keras.layers.Dense(2)(keras.layers.Flatten()(window)))


def no_net(steps: int, features: int, seed: int) -> str:
    """Nor is this."""
    return "net"
