"""A small chain with every kind of layer that the published nets have, so that it is traced and compiled soon."""

from __future__ import annotations

import keras

from trainer.networks.architecture import HEAD, Conv, Dense, Recurrent
from trainer.networks.layers import connect, convolve, recur, seeds_from


def build_small_net(
    steps: int, features: int, seed: int, *, mixed_precision: bool = False, replicas: int = 1
) -> keras.Model:
    """As ``build_network``: scaled features ``[batch, steps, features]`` → scaled target ``[batch, 1]``."""
    seeds, dtype = seeds_from(seed), "mixed_float16" if mixed_precision else "float32"
    window = x = keras.Input((steps, features), dtype="float32")
    x = convolve(x, Conv(8), "conv_1", seeds, dtype, synchronized=replicas > 1)
    x = convolve(x, Conv(8, "valid", normalise=False, pool=False), "conv_2", seeds, dtype)
    x = recur(x, Recurrent("lstm", 6, bidirectional=True, normalise=True), True, "lstm_1", seeds, dtype)
    x = recur(x, Recurrent("gru", 5), False, "gru_2", seeds, dtype)
    x = connect(x, Dense(6), "dense_1", seeds, dtype)
    head = keras.layers.Dense(
        1, kernel_initializer=keras.initializers.GlorotUniform(next(seeds)), dtype="float32", name=HEAD
    )
    return keras.Model(window, head(x))
