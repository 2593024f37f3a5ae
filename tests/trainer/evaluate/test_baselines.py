from __future__ import annotations

import numpy as np
import pytest

from trainer.evaluate.baselines import baseline_metrics, fit_linear, forecast_linear
from trainer.evaluate.metrics import Floats


def sine(rows: int, level: float = 100.0) -> Floats:
    wave: Floats = level * np.exp(0.05 * np.sin(2 * np.pi * np.arange(rows) / 40))
    return wave


def walk(rows: int, seed: int) -> Floats:
    steps: Floats = np.exp(np.cumsum(np.random.default_rng(seed).normal(scale=0.01, size=rows)))
    return steps


@pytest.mark.parametrize("level", [1e-8, 1e5])
@pytest.mark.parametrize("horizon", [1, 5])
def test_the_linear_baseline_learns_a_sine_at_any_price_level(level: float, horizon: int) -> None:
    close = sine(1_000, level)
    found = baseline_metrics(close, np.arange(60, 700), np.arange(760, 1_000 - horizon), horizon, 60)
    assert found["linear"]["skill"] > 0.9
    assert found["persistence"]["skill"] == 0.0


def test_the_linear_baseline_has_no_skill_on_random_walks() -> None:
    for seed in range(20):
        close = walk(2_000, seed)
        found = baseline_metrics(close, np.arange(60, 1_500), np.arange(1_560, 1_999), 1, 60)
        assert -0.1 < found["linear"]["skill"] < 0.03
        assert found["linear"]["skill_low"] <= 0


def test_the_linear_baseline_reads_nothing_after_the_window_end() -> None:
    close = walk(500, 3)
    model = fit_linear(close, np.arange(60, 300), 1, 60)
    changed = close.copy()
    changed[401:] *= 7
    ends = np.arange(310, 401)
    assert np.array_equal(forecast_linear(model, close, ends), forecast_linear(model, changed, ends))


def test_flat_prices_give_the_flat_forecast() -> None:
    close = np.full(300, 5.0)
    model = fit_linear(close, np.arange(60, 200), 1, 60)
    assert forecast_linear(model, close, np.arange(220, 290)) == pytest.approx(np.full(70, 5.0))
