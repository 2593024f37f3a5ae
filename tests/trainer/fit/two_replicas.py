"""Run by a test in a process of its own: logical devices must be made before TensorFlow runs anything.

Prints the losses of a net's first steps on one device and on two replicas of a device, as JSON.
"""

from __future__ import annotations

import json
import sys

import keras
import numpy as np
import tensorflow as tf

from tests.trainer.fit.small_net import build_small_net
from trainer.fit.device import Device
from trainer.fit.execution import KERAS
from trainer.fit.steps import Table, compile_prediction, compile_training, predict_rows


def losses(replicas: int) -> list[float]:
    """The losses of six steps and three forecasts after them."""
    rng = np.random.default_rng(3)
    table = Table(rng.normal(size=(300, 9)).astype(np.float32), rng.normal(size=300).astype(np.float32))
    ends = rng.integers(16, 300, (6, 16)).astype(np.int32)
    with Device("cpu", replicas, 1).spread():
        model = build_small_net(16, 9, 1, replicas=replicas)
        train = compile_training(model, keras.optimizers.Adam(1e-3), table, 16, KERAS)
        found = [train(ends, step, 1) for step in range(6)]
        answers: list[float] = predict_rows(compile_prediction(model), table.features, np.arange(100, 103), 16).tolist()
        return found + answers


if __name__ == "__main__":
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    sys.stdout.write(json.dumps([losses(replicas) for replicas in (1, 2)]) + "\n")
