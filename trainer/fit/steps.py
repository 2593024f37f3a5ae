"""Training and predicting as graph calls: windows are gathered from row numbers and never kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from trainer.features.windows import gather_windows
from trainer.fit.execution import Execution
from trainer.fit.forward import BatchPart, run_forward
from trainer.networks.backend import keras
from trainer.networks.reference import Predict, Windows

Augment = Callable[[Any, Any], Any]
PREDICT_BATCH = 256


@dataclass(frozen=True, eq=False)
class Table:
    """What all windows are gathered from: scaled features float32 ``[rows, F]``, scaled target float32 ``[rows]``.

    A row's target is that of the window that ends there; where there is none, any finite number.
    """

    features: npt.NDArray[np.float32]
    target: npt.NDArray[np.float32]


def compile_training(
    model: keras.Model, optimizer: Any, table: Table, batch: int, path: Execution, augment: Augment | None = None
) -> Callable[[npt.NDArray[np.int32], int, int], float]:
    """A function ``(ends [steps, batch], start, count)`` that takes ``count`` steps and sums up their losses.

    ``augment`` changes the windows of a step, given its number: the same number, the same change. Under a distribution
    strategy each replica takes its part of every batch, and the gradients are summed.
    """
    features, target = tf.constant(table.features), tf.constant(table.target)
    variables = model.trainable_variables
    optimizer.build(variables)
    strategy = tf.distribute.get_strategy()
    size = batch // strategy.num_replicas_in_sync
    gather = _window_gatherer(model, batch)

    def step(features: Any, target: Any, ends: Any) -> Any:
        windows, wanted, share = gather(features, ends), tf.gather(target, ends), None
        if augment is not None:
            windows = augment(windows, optimizer.iterations)
        if size < batch:
            share = BatchPart(tf.distribute.get_replica_context().replica_id_in_sync_group, size, batch)
            part = slice(share.number * size, (share.number + 1) * size)
            windows = tf.ensure_shape(windows[part], [size, *windows.shape[1:]])
            wanted = tf.ensure_shape(wanted[part], [size])
        with tf.GradientTape() as tape:
            if path.chain:
                forecast = run_forward(model, windows, own_kernels=path.xla, share=share)
            else:
                forecast = model(windows, training=True)
            loss = tf.reduce_sum(tf.square(forecast[:, 0] - wanted)) / batch
            if not path.chain and model.losses:  # what its layers add, such as a penalty on weights
                loss += tf.add_n(model.losses)
            scaled = optimizer.scale_loss(loss)
        optimizer.apply(tape.gradient(scaled, variables), variables)
        return loss

    def step_everywhere(features: Any, target: Any, ends: Any) -> Any:
        if size == batch:
            return step(features, target, ends)
        losses = strategy.run(step, (features, target, ends))
        return strategy.reduce(tf.distribute.ReduceOp.SUM, losses, axis=None)

    @tf.function(jit_compile=path.xla, autograph=False)  # type: ignore[untyped-decorator]
    def run(features: Any, target: Any, ends: Any, start: Any, count: Any) -> Any:
        _, total = tf.while_loop(
            lambda number, _: number < start + count,
            lambda number, total: (number + 1, total + step_everywhere(features, target, ends[number])),
            (start, tf.constant(0.0)),
            parallel_iterations=1,
        )
        return total

    def train(ends: npt.NDArray[np.int32], start: int, count: int) -> float:
        return float(run(features, target, tf.constant(ends), tf.constant(start), tf.constant(count)))

    return train


def compile_prediction(model: keras.Model) -> Predict:
    """A function that forecasts with the net's current weights; the last batch is padded.

    Never by XLA: without a gradient Keras' own kernels take as long and are there at once.
    """

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def run(windows: Any) -> Any:
        return model(windows, training=False)[:, 0]

    def predict(windows: Windows) -> npt.NDArray[np.float32]:
        count = len(windows)
        filled = np.resize(windows, (-(-count // PREDICT_BATCH) * PREDICT_BATCH, *windows.shape[1:]))
        batches = np.split(filled, len(filled) // PREDICT_BATCH)
        return np.concatenate([run(tf.constant(batch)).numpy() for batch in batches])[:count]

    return predict


def predict_rows(
    predict: Predict, features: npt.NDArray[np.float32], ends: npt.NDArray[np.int64], steps: int
) -> npt.NDArray[np.float32]:
    """The forecasts for the windows that end at rows ``ends``, which exist a batch at a time."""
    parts = [ends[at : at + PREDICT_BATCH] for at in range(0, len(ends), PREDICT_BATCH)]
    return np.concatenate([predict(gather_windows(features, part, steps)) for part in parts])


def _window_gatherer(model: keras.Model, batch: int) -> Callable[[Any, Any], Any]:
    steps, width = model.input_shape[1:]
    offsets = tf.range(1 - steps, 1)
    return lambda features, ends: tf.ensure_shape(tf.gather(features, ends[:, None] + offsets), [batch, steps, width])
