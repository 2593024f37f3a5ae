"""The blocks the four nets are made of. Every block has a stable name and weights that follow from its seeds."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from trainer.networks.architecture import EPSILON, Conv, Dense, Recurrent, norm_name
from trainer.networks.backend import keras


def seeds_from(seed: int) -> Iterator[int]:
    """A seed in ``[0, 2**31)`` for each random thing of a net, all decided by one number."""
    source = random.Random(seed)
    while True:
        yield source.getrandbits(31)


def convolve(x: Any, conv: Conv, name: str, seeds: Iterator[int], dtype: str, *, synchronized: bool = False) -> Any:
    """Convolution over time, then batch normalisation, ReLU and pooling: ``[batch, steps, channels]``."""
    x = keras.layers.Conv1D(
        conv.filters,
        3,
        padding=conv.padding,
        kernel_initializer=keras.initializers.GlorotUniform(next(seeds)),
        dtype=dtype,
        name=name,
    )(x)
    if conv.normalise:
        x = keras.layers.BatchNormalization(
            synchronized=synchronized, epsilon=EPSILON, dtype=dtype, name=norm_name(name)
        )(x)
    x = keras.layers.ReLU(dtype=dtype, name=f"{name}_relu")(x)
    if conv.pool:
        x = keras.layers.MaxPooling1D(2, dtype=dtype, name=f"{name}_pool")(x)
    return x


def recur(x: Any, recurrent: Recurrent, sequences: bool, name: str, seeds: Iterator[int], dtype: str) -> Any:
    """A GRU or LSTM, one or two ways, then layer normalisation and dropout.

    ``[batch, steps, units]`` with ``sequences``, else the last state ``[batch, units]``; units double both ways.
    """
    kind = keras.layers.GRU if recurrent.cell == "gru" else keras.layers.LSTM

    def make(label: str, backwards: bool) -> Any:
        return kind(
            recurrent.units,
            return_sequences=sequences,
            go_backwards=backwards,
            kernel_initializer=keras.initializers.GlorotUniform(next(seeds)),
            recurrent_initializer=keras.initializers.Orthogonal(seed=next(seeds)),
            dtype=dtype,
            name=label,
        )

    if recurrent.bidirectional:
        # Both ways are made here: Keras' own copy would share the seed and begin with equal weights.
        layer = keras.layers.Bidirectional(
            make(f"{name}_forward", False), backward_layer=make(f"{name}_backward", True), dtype=dtype, name=name
        )
    else:
        layer = make(name, False)
    x = layer(x)
    if recurrent.normalise:
        x = keras.layers.LayerNormalization(epsilon=EPSILON, dtype=dtype, name=norm_name(name))(x)
    return keras.layers.Dropout(recurrent.dropout, seed=next(seeds), dtype=dtype, name=f"{name}_dropout")(x)


def connect(x: Any, dense: Dense, name: str, seeds: Iterator[int], dtype: str) -> Any:
    """A dense ReLU layer and dropout: ``[batch, units]``."""
    x = keras.layers.Dense(
        dense.units,
        activation="relu",
        kernel_initializer=keras.initializers.GlorotUniform(next(seeds)),
        dtype=dtype,
        name=name,
    )(x)
    return keras.layers.Dropout(dense.dropout, seed=next(seeds), dtype=dtype, name=f"{name}_dropout")(x)
