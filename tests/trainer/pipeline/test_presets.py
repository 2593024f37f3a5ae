"""Every preset learns what can be learnt, and shows nothing where there is nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from atb.contract.presets import PRESET_NAMES
from atb.registry.gate import passes
from atb.storage import MemoryStore
from tests.trainer.pipeline.market import sine_close, tiny_spec, train, walk_close, write_bars

SHORT = {"learning_rate": 3e-3, "batch_size": 32}
"""What lets the larger nets come to something within the few steps of a test."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("market")
    write_bars(folder, "WAVE", sine_close())
    write_bars(folder, "WALK", walk_close(seed=0))
    return folder


@pytest.mark.parametrize("preset", PRESET_NAMES)
def test_a_wave_is_forecast_better_than_by_its_last_value(preset: str, folder: Path) -> None:
    result = train(MemoryStore(), "r1", tiny_spec(folder, "WAVE", preset, epochs=6, **SHORT))
    assert result.metrics["skill"] > 0.5
    assert [rule.name for rule in result.gate if not rule.passed] == ["not-behind-baseline"]  # ridge knows a sine


@pytest.mark.parametrize("preset", PRESET_NAMES)
def test_a_random_walk_is_forecast_no_better_and_hardly_worse(preset: str, folder: Path) -> None:
    result = train(MemoryStore(), "r1", tiny_spec(folder, "WALK", preset, epochs=2, onnx=False, **SHORT))
    metrics = result.metrics
    assert metrics["skill_low"] <= 0  # three standard errors below: no skill is shown
    assert abs(metrics["skill"]) < 0.05
    assert [rule.passed for rule in result.gate if rule.name == "skill-shown"] == [False]
    assert not passes(result.gate)
