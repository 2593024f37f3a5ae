"""What a trained net answers exactly."""

from __future__ import annotations

import numpy as np
import pytest

from atb.contract.presets import MODEL_TYPES, ModelType
from trainer.networks.build import build_network
from trainer.networks.reference import reference_predict


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_the_reference_is_the_net_itself(model_type: ModelType) -> None:
    model = build_network(model_type, 16, 3, seed=5)
    windows = np.random.default_rng(0).normal(size=(8, 16, 3)).astype(np.float32)
    expected = np.asarray(model(windows, training=False))[:, 0]
    assert np.allclose(reference_predict(model, model_type)(windows), expected, rtol=0, atol=1e-6)


def test_the_reference_of_a_net_trained_in_mixed_precision_is_float32() -> None:
    half = build_network("fast", 16, 3, seed=5, mixed_precision=True)
    whole = build_network("fast", 16, 3, seed=5)
    windows = np.random.default_rng(0).normal(size=(8, 16, 3)).astype(np.float32)
    exact = reference_predict(half, "fast")(windows)
    assert np.array_equal(exact, reference_predict(whole, "fast")(windows))
    assert np.abs(exact - np.asarray(half(windows, training=False))[:, 0]).max() > 1e-5
