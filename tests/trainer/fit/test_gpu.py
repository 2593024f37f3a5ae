"""The ways that only a GPU takes, as far as a CPU can show them."""

from __future__ import annotations

import json
from typing import Any

import keras
import numpy as np

from atb.contract.presets import PRESETS, PresetName
from tests.processes import Atb
from trainer.fit.execution import CUDNN
from trainer.fit.steps import Table, compile_training
from trainer.networks.architecture import ARCHITECTURES


def test_on_a_gpu_every_recurrent_layer_and_its_gradient_is_cudnns(atb: Atb) -> None:
    traced: tuple[tuple[PresetName, str], ...] = (("balanced", "mixed"), ("quality", "float32"))
    done = atb.module("tests.trainer.fit.cudnn_graph", *(word for pair in traced for word in pair))
    assert done.code == 0, done.output
    for (preset, _), line in zip(traced, done.lines[-2:], strict=True):
        found = json.loads(line)
        layers = sum(1 + layer.bidirectional for layer in ARCHITECTURES[PRESETS[preset].model_type].recurrents)
        assert (found.get("CudnnRNNV3"), found.get("CudnnRNNBackpropV3")) == (layers, layers), preset
        assert not {"XlaLaunch", "NcclAllReduce"} & found.keys()
        assert found["While"] == 1, "the loop over the chunk's steps and none over time"


def make_step(scale: float) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(3)
    table = Table(rng.normal(size=(80, 4)).astype(np.float32), rng.normal(size=80).astype(np.float32))
    inputs = keras.Input((16, 4))
    x = keras.layers.Dense(8, "relu", dtype="mixed_float16", kernel_initializer=keras.initializers.GlorotUniform(1))(
        keras.layers.Flatten(dtype="mixed_float16")(inputs)
    )
    model = keras.Model(
        inputs, keras.layers.Dense(1, dtype="float32", kernel_initializer=keras.initializers.GlorotUniform(2))(x)
    )
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.01), initial_scale=scale)
    return model, optimizer, compile_training(model, optimizer, table, 8, CUDNN)


ENDS = np.arange(20, 52, dtype=np.int32).reshape(4, 8)


def test_the_loss_and_the_step_do_not_depend_on_the_loss_scale() -> None:
    found = []
    for scale in (1.0, 2.0**10):
        model, _, train = make_step(scale)
        found.append([train(ENDS, 0, 4), *model.get_weights()])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-2, atol=2e-3)


def test_a_step_whose_float16_gradients_overflow_is_left_out_and_halves_the_scale() -> None:
    model, optimizer, train = make_step(2.0**60)
    before = [variable.numpy() for variable in model.trainable_variables]
    assert np.isfinite(train(ENDS, 0, 1)), "the loss itself is float32 and not scaled"
    for old, variable in zip(before, model.trainable_variables, strict=True):
        np.testing.assert_array_equal(old, variable.numpy())
    assert float(optimizer.dynamic_scale.numpy()) == 2.0**59
