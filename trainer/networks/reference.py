"""The outputs of a trained net in plain float32 on the CPU, which an export has to reproduce."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from atb.contract.presets import ModelType
from trainer.networks.backend import keras
from trainer.networks.build import build_network

Windows = npt.NDArray[np.float32]
Predict = Callable[[Windows], npt.NDArray[np.float32]]
"""Scaled windows ``[n, steps, features]`` → scaled returns ``[n]``."""


def reference_predict(model: keras.Model, model_type: ModelType) -> Predict:
    """A function that computes the trained net's exact outputs.

    The net is built again in float32 on the CPU: mixed precision and a GPU's TF32 differ in the third digit. It runs
    eagerly, which takes less time for a few hundred windows than tracing it would.
    """
    _, steps, features = model.input_shape
    with keras.device("cpu"):
        twin = build_network(model_type, steps, features, seed=0)
    twin.set_weights(model.get_weights())

    def predict(windows: Windows) -> npt.NDArray[np.float32]:
        with keras.device("cpu"):
            scaled = twin(windows, training=False)
        return np.asarray(keras.ops.convert_to_numpy(scaled), dtype=np.float32).reshape(-1)

    return predict
