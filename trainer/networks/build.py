"""One Keras model from a net's plan."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TypeAlias

from atb.contract.presets import ModelType
from trainer.bars.bounds import validate_archive
from trainer.networks.architecture import ARCHITECTURES, HEAD
from trainer.networks.backend import keras, validate_settings
from trainer.networks.layers import connect, convolve, recur, seeds_from

Network: TypeAlias = keras.Model
_MOST_BYTES = 2**30
"""Of an unpacked file: a hundred times the largest net's."""


def load_network(path: Path) -> Network:
    """The net of a ``.keras`` file, for prediction or further training. Raises ValueError for one that unpacks to more
    than any net, and what Keras raises."""
    if zipfile.is_zipfile(path):  # of others Keras says itself what they are
        validate_archive(path, _MOST_BYTES)
    return keras.models.load_model(path, compile=False)


def build_network(
    model_type: ModelType,
    sequence_length: int,
    feature_count: int,
    seed: int,
    *,
    mixed_precision: bool = False,
    replicas: int = 1,
) -> keras.Model:
    """The net of a model type: scaled features ``[batch, steps, features]`` → scaled return ``[batch, 1]``.

    Initial weights and dropout follow from ``seed`` alone. Batch normalisation is over all ``replicas``. Under mixed
    precision the layers compute in float16 and the weights, the input and the head are float32: a float16 head
    overflows at 65,504. Raises SpecError where Keras is set otherwise in this process.
    """
    validate_settings()
    plan, seeds = ARCHITECTURES[model_type], seeds_from(seed)
    dtype = "mixed_float16" if mixed_precision else "float32"
    features = keras.Input((sequence_length, feature_count), dtype="float32", name="features")
    x = features
    for name, conv in plan.named_convs:
        x = convolve(x, conv, name, seeds, dtype, synchronized=replicas > 1)
    last, _ = plan.named_recurrents[-1]
    for name, recurrent in plan.named_recurrents:
        x = recur(x, recurrent, name != last, name, seeds, dtype)
    for name, dense in plan.named_denses:
        x = connect(x, dense, name, seeds, dtype)
    scaled = keras.layers.Dense(
        1, kernel_initializer=keras.initializers.GlorotUniform(next(seeds)), dtype="float32", name=HEAD
    )(x)
    return keras.Model(features, scaled, name=model_type)
