"""The four nets: their size, their seeds, their precision."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from atb.contract.presets import MODEL_TYPES, PRESETS, ModelType
from trainer.networks.build import build_network

LENGTHS = {preset.model_type: preset.sequence_length for preset in PRESETS.values()}


@pytest.mark.parametrize(
    ("model_type", "parameters"),
    [("fast", 30_337), ("balanced", 75_041), ("quality", 569_649), ("adaptive", 150_897)],
)
def test_the_parameter_count_for_nine_features_is_the_published_one(model_type: ModelType, parameters: int) -> None:
    model = build_network(model_type, LENGTHS[model_type], 9, seed=1)
    assert sum(int(np.prod(weight.shape)) for weight in model.weights) == parameters


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_initial_weights_follow_from_the_seed_alone(model_type: ModelType) -> None:
    first, again, other = (build_network(model_type, 16, 3, seed).get_weights() for seed in (7, 7, 8))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_no_two_random_kernels_begin_equal() -> None:
    layer = build_network("quality", 16, 3, seed=7).get_layer("lstm_1")
    forward, backward = layer.forward_layer.get_weights(), layer.backward_layer.get_weights()
    assert not np.array_equal(forward[0], backward[0])
    assert not np.array_equal(forward[1], backward[1])


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_the_head_is_float32_under_mixed_precision(model_type: ModelType) -> None:
    model = build_network(model_type, 16, 3, seed=1, mixed_precision=True)
    assert model.output.dtype == "float32"
    assert all(weight.dtype == "float32" for weight in model.weights)
    assert model.get_layer("dense_1").compute_dtype == "float16"


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_the_shortest_window_the_spec_allows_gives_one_number_a_window(model_type: ModelType) -> None:
    model = build_network(model_type, 16, 1, seed=1)
    assert model.output_shape == (None, 1)


def test_dropout_is_the_published_one() -> None:
    rates = {
        model_type: [layer.rate for layer in build_network(model_type, 16, 1, seed=1).layers if hasattr(layer, "rate")]
        for model_type in MODEL_TYPES
    }
    assert rates == {
        "fast": [0.2, 0.2, 0.2],
        "balanced": [0.2, 0.2, 0.2],
        "quality": [0.3, 0.3, 0.3, 0.2],
        "adaptive": [0.2, 0.2, 0.2],
    }


def test_the_user_s_own_keras_settings_change_nothing(tmp_path: Path) -> None:
    settings = {"backend": "jax", "floatx": "float16", "epsilon": 0.1, "image_data_format": "channels_first"}
    (tmp_path / "keras.json").write_text(json.dumps(settings))
    program = (
        "from trainer.own_process import own_imports\n"
        "with own_imports():\n"
        "    import trainer.pipeline.job, keras\n"
        "from trainer.networks.build import build_network\n"
        "print(keras.backend.backend(), keras.config.epsilon(), keras.config.image_data_format())\n"
        "print({weight.dtype for weight in build_network('fast', 16, 3, 7).weights})"
    )
    environment = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**environment, "KERAS_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == ["tensorflow 1e-07 channels_last", "{'float32'}"]
