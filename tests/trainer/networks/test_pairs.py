"""Every valid combination of preset, net and feature set builds and predicts."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from atb.contract.features import FEATURE_SETS
from atb.contract.presets import MODEL_TYPES, PRESET_NAMES, ModelType
from atb.contract.spec import resolve_spec
from trainer.features.sets import feature_set
from trainer.networks.build import build_network


@functools.cache
def answer(model_type: ModelType, sequence_length: int, feature_count: int) -> float:
    """What a new net says to one window of noise."""
    model = build_network(model_type, sequence_length, feature_count, seed=1)
    window = np.random.default_rng(0).normal(size=(1, sequence_length, feature_count)).astype(np.float32)
    answers = np.asarray(model(window, training=False))
    assert answers.shape == (1, 1)
    return float(answers[0, 0])


@pytest.mark.parametrize("features", FEATURE_SETS)
@pytest.mark.parametrize("model_type", MODEL_TYPES)
@pytest.mark.parametrize("preset", PRESET_NAMES)
def test_a_preset_goes_with_every_net_and_feature_set(preset: str, model_type: ModelType, features: str) -> None:
    spec = resolve_spec("BTCUSDT", preset, {"model_type": model_type, "features": features, "as_of": "2026-01-01"})
    columns = feature_set(spec.features).columns
    assert np.isfinite(answer(spec.model_type, spec.sequence_length, len(columns)))
