"""A Keras net of the user's own: any layers, built by a function that an entry point or ``module:function`` names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np

from atb.errors import SpecError
from atb.plugins import NETS, require_plugin
from trainer.networks.backend import keras, validate_settings
from trainer.networks.build import load_network
from trainer.networks.reference import Predict, Windows


def build_own_network(name: str, steps: int, features: int, seed: int) -> keras.Model:
    """What the user's ``function(steps, features, seed)`` returns: scaled features float32 ``[batch, steps, features]``
    → scaled target float32 ``[batch, 1]``.

    Keras' own random numbers follow from ``seed`` where the function leaves them to Keras. Raises SpecError where there
    is no such function, or where what it returns is no such net.
    """
    validate_settings()
    function = cast(Callable[[int, int, int], Any], require_plugin(NETS, name).load())
    keras.utils.set_random_seed(seed)
    model = function(steps, features, seed)
    if not isinstance(model, keras.Model):
        raise SpecError(f"--net {name} returns a {type(model).__name__}, not a keras.Model")
    found = (_shape(model.inputs), _shape(model.outputs))
    wanted = ([(None, steps, features)], [(None, 1)])
    if found != wanted:
        raise SpecError(
            f"--net {name} is a net from {found[0]} to {found[1]}; it must be one from {wanted[0]} to {wanted[1]}"
        )
    return model


def load_own_network(path: Path, name: str, steps: int, features: int) -> keras.Model:
    """The user's net as a ``.keras`` file has it. Raises SpecError where it can't be read, or is another net's."""
    fresh = build_own_network(name, steps, features, seed=0)
    try:
        model = load_network(path)
    except (TypeError, ValueError) as error:
        raise SpecError(
            f"--warm-start can't be read ({str(error).splitlines()[0]}); a layer of your own must be registered with "
            "keras.saving.register_keras_serializable"
        ) from None
    if _layers(model) != _layers(fresh):
        raise SpecError(f"--warm-start has other layers than --net {name}")
    return model


def _layers(model: keras.Model) -> list[tuple[str, list[tuple[int, ...]]]]:
    return [(type(layer).__name__, [tuple(weight.shape) for weight in layer.weights]) for layer in model.layers]


def own_predict(model: keras.Model) -> Predict:
    """A function that runs the trained net on the CPU, eagerly and in inference mode."""

    def predict(windows: Windows) -> Windows:
        with keras.device("cpu"):
            scaled = model(windows, training=False)
        return np.asarray(keras.ops.convert_to_numpy(scaled), dtype=np.float32).reshape(-1)

    return predict


def _shape(tensors: list[Any] | None) -> list[tuple[int | None, ...]]:
    return [tuple(tensor.shape) for tensor in tensors or ()]
