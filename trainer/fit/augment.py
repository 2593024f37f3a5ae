"""Augmentation of train windows, so that the net can't memorise them."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from trainer.fit.steps import Augment

JITTER = 0.05
"""Standard deviation of the noise added to each number, in standard deviations of its column."""
SCALE = 0.1
"""Standard deviation of the factor, around 1, that a whole window is multiplied by."""


def make_augment(names: str, seed: int) -> Augment | None:
    """The augmentation of a spec (``jitter``, ``scale``, both or none), drawn anew by seed and step."""
    chosen = names.split(",") if names else []
    if not chosen:
        return None

    def augment(windows: Any, step: Any) -> Any:
        if "jitter" in chosen:
            windows += JITTER * _normal(tf.shape(windows), seed, step, 0)
        if "scale" in chosen:
            windows *= 1 + SCALE * _normal([tf.shape(windows)[0], 1, 1], seed, step, 1)
        return windows

    return augment


def _normal(shape: Any, seed: int, step: Any, stream: int) -> Any:
    pair = tf.stack([tf.constant(2 * seed + stream, tf.int64), tf.cast(tf.convert_to_tensor(step), tf.int64)])
    return tf.random.stateless_normal(shape, pair, alg="philox")
