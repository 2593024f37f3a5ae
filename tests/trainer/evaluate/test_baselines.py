from __future__ import annotations

import numpy as np
import pytest

from trainer.evaluate.baselines import (
    fit_linear,
    forecast_linear,
    return_baselines,
    volatility_baselines,
)
from trainer.evaluate.metrics import Floats, skill, skill_low
from trainer.evaluate.trees import forecast_trees
from trainer.features.volatility import realised_volatility


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
    ends = np.arange(760, 1_000 - horizon)
    forecast = forecast_linear(fit_linear(close, np.arange(60, 700), horizon, 60), close, ends)
    assert skill(close[ends + horizon], forecast, close[ends]) > 0.9


def test_the_linear_baseline_has_no_skill_on_random_walks() -> None:
    for seed in range(20):
        close = walk(2_000, seed)
        ends = np.arange(1_560, 1_999)
        forecast = forecast_linear(fit_linear(close, np.arange(60, 1_500), 1, 60), close, ends)
        assert -0.1 < skill(close[ends + 1], forecast, close[ends]) < 0.03
        assert skill_low(close[ends + 1], forecast, close[ends]) <= 0


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


def test_trees_learn_what_no_line_can_and_know_nothing_of_noise() -> None:
    source = np.random.default_rng(0)
    inputs = source.normal(size=(2_000, 3))
    target = 5.0 + 1e-6 * np.sign(inputs[:, 0] * inputs[:, 1])
    found = forecast_trees(inputs[:1_500], target[:1_500], inputs[1_500:])
    assert skill(target[1_500:], found, np.full(500, 5.0)) > 0.5
    noise = source.normal(size=2_000)
    found = forecast_trees(inputs[:1_500], noise[:1_500], inputs[1_500:])
    assert -0.1 < skill(noise[1_500:], found, np.zeros(500)) < 0.03
    assert np.array_equal(found, forecast_trees(inputs[:1_500], noise[:1_500], inputs[1_500:]))


def test_the_baselines_of_a_return_are_prices_and_read_nothing_after_the_window_end() -> None:
    close = walk(600, 3)
    flat = np.column_stack([close, close]).astype(np.float32)
    train, ends = np.arange(60, 300), np.arange(310, 401)
    found = return_baselines(close, flat, train, ends, 2, 60)
    assert list(found) == ["persistence", "linear", "trees"]
    assert np.array_equal(found["persistence"], close[ends])
    changed = close.copy()
    changed[401:] *= 7
    again = return_baselines(changed, flat, train, ends, 2, 60)
    assert all(np.array_equal(found[name], again[name]) for name in found)


def volatile(rows: int, seed: int) -> Floats:
    """Variances of bars whose log volatility is a slow AR(1), measured with noise."""
    source = np.random.default_rng(seed)
    state = np.zeros(rows)
    for row in range(1, rows):
        state[row] = 0.97 * state[row - 1] + 0.15 * source.normal()
    variance: Floats = np.exp(2 * (state - 5 + 0.35 * source.normal(size=rows)))
    return variance


def test_the_baselines_of_volatility_know_more_than_persistence_and_read_nothing_after_the_window_end() -> None:
    variance = volatile(3_000, 1)
    logs = 0.5 * np.log(variance)
    flat = np.column_stack([logs, np.convolve(logs, np.full(24, 1 / 24))[: len(logs)]]).astype(np.float32)
    train, ends = np.arange(200, 2_000), np.arange(2_100, 2_900)
    found = volatility_baselines(variance, flat, flat, train, ends, 1)
    assert list(found) == ["persistence", "ewma", "har", "ridge", "trees"]
    actual = realised_volatility(variance, ends, 1)
    assert np.array_equal(found["persistence"], logs[ends])
    for name in ("ewma", "har", "ridge", "trees"):
        assert skill_low(actual, found[name], found["persistence"]) > 0
        assert abs(np.mean(found[name] - actual)) < 0.1
    changed, cut = variance.copy(), flat.copy()
    changed[2_900:] *= 7
    cut[2_900:] *= 2
    again = volatility_baselines(changed, cut, cut, train, ends, 1)
    assert all(np.array_equal(found[name], again[name]) for name in found)


def test_no_baseline_shows_skill_over_the_mean_of_volatility_that_is_noise() -> None:
    source = np.random.default_rng(2)
    variance = np.exp(2 * (source.normal(scale=0.4, size=2_500) - 5))
    flat = (0.5 * np.log(variance))[:, None].astype(np.float32)
    train, ends = np.arange(200, 1_700), np.arange(1_800, 2_499)
    found = volatility_baselines(variance, flat, flat, train, ends, 1)
    actual, mean = realised_volatility(variance, ends, 1), float(realised_volatility(variance, train, 1).mean())
    for forecast in found.values():
        assert skill_low(actual, forecast, np.full(len(ends), mean)) <= 0
