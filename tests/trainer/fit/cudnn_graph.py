"""Run by a test in a process of its own: what a step's graph is made of where TensorFlow reports a GPU.

Only the report is a stand-in: Keras chooses its kernels by it. The step is traced with its gradient, not run.
Given pairs of a preset and a precision, prints how often each type of operation is in the graph, as a line of JSON
for each.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from atb.contract.presets import PRESETS
from trainer.fit.device import Device
from trainer.fit.execution import choose_execution
from trainer.fit.steps import Table, compile_training
from trainer.networks.build import build_network


def trace_step(preset: str, mixed_precision: bool) -> dict[str, int]:
    """The operations of the training step that a fit on one GPU takes."""
    execution = choose_execution(Device("gpu", 1, 1), steps=100_000, mixed_precision=mixed_precision)
    model_type = PRESETS[preset].model_type  # type: ignore[index]
    model = build_network(model_type, 16, 9, 1, mixed_precision=mixed_precision)
    table = Table(np.zeros((64, 9), np.float32), np.zeros(64, np.float32))
    optimizer: Any = keras.optimizers.Adam()
    if mixed_precision:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    train = compile_training(model, optimizer, table, 8, execution)

    def trace() -> Any:
        try:
            train(np.full((1, 8), 20, np.int32), 0, 1)
        except TypeError:
            pass  # a traced loss is no number
        return tf.constant(0)

    graph = tf.function(trace, autograph=False).get_concrete_function().graph.as_graph_def()
    return Counter(node.op for function in graph.library.function for node in function.node_def)


if __name__ == "__main__":
    tf.config.list_logical_devices = lambda device_type=None: [tf.config.LogicalDevice("/device:GPU:0", "GPU")]
    for preset, precision in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
        sys.stdout.write(json.dumps(trace_step(preset, precision == "mixed")) + "\n")
