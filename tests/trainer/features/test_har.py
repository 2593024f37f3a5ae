"""HAR, and volatility from ranges."""

from __future__ import annotations

import numpy as np
import pytest

from tests.trainer.bars.conftest import ms
from trainer.bars.frame import Bars
from trainer.bars.sample import SampleSource
from trainer.features.har import INPUTS, Har, har_inputs
from trainer.features.sets import compute_features, feature_set
from trainer.features.volatility import bar_variance, past_volatility, realised_volatility, zero_ranges

BARS = SampleSource().fetch("BTCUSDT", "1h", "spot", ms("2025-01-01"), ms("2025-03-01"))


def test_realised_volatility_is_that_of_the_bars_after_the_end_and_persistence_that_of_those_before() -> None:
    variance = np.array([1.0, 4.0, 9.0, 16.0, 25.0]) * 1e-6
    ends = np.array([1, 2])
    assert np.exp(realised_volatility(variance, ends, 2)) == pytest.approx(np.sqrt([12.5e-6, 20.5e-6]))
    assert np.exp(past_volatility(variance, ends, 2)) == pytest.approx(np.sqrt([2.5e-6, 6.5e-6]))


def test_the_target_reads_bars_after_the_end_alone() -> None:
    ends = np.arange(200, 300)
    changed = Bars(BARS.symbol, BARS.timeframe, BARS.time, BARS.values.copy())
    changed.values[:201, 1] *= 2
    kept = [realised_volatility(bar_variance(bars), ends, 5) for bars in (BARS, changed)]
    assert np.array_equal(kept[0], kept[1])


def test_parkinson_gives_the_volatility_of_a_walk() -> None:
    source = np.random.default_rng(1)
    path = np.cumsum(source.normal(scale=0.01 / np.sqrt(2_000), size=(2_000, 2_000)), axis=1)
    values = np.exp(np.column_stack([path[:, 0], path.max(axis=1), path.min(axis=1), path[:, -1], path[:, 0]]))
    variance = bar_variance(Bars("X", "1h", 3_600_000 * np.arange(2_000), values))
    assert np.sqrt(variance.mean()) == pytest.approx(0.01, rel=0.04)  # a path in steps has a little less range


def test_bars_whose_range_is_below_the_floor_are_counted_once() -> None:
    values = np.tile([1.0, 1.01, 1.0, 1.0, 1.0], (10, 1))
    values[4:6, 1] = 1.0
    bars = Bars("X", "1h", 3_600_000 * np.arange(10), values)
    assert zero_ranges(bars, np.arange(0, 7), 3) == 2
    assert zero_ranges(bars, np.arange(5, 7), 3) == 0


def test_har_finds_the_weights_that_made_the_target_and_is_written_exactly() -> None:
    features = feature_set("volatility")
    flat = compute_features(features, BARS)
    inputs = har_inputs(features.columns, flat, np.arange(200, 1_300))
    weights = np.linspace(-0.5, 0.7, len(INPUTS))
    har = Har.fit(inputs[:900], inputs[:900].astype(np.float64) @ weights - 2.0)
    assert har.forecast(inputs[900:]) == pytest.approx(inputs[900:] @ weights - 2.0, abs=1e-6)
    again = Har.from_dict(har.to_dict())
    assert np.array_equal(again.forecast(inputs), har.forecast(inputs))


def test_inputs_that_never_differ_have_no_weight() -> None:
    source = np.random.default_rng(3)
    inputs = np.column_stack([source.normal(size=(300, 4)), np.tile([0.0, 1.0], (300, 5))])
    har = Har.fit(inputs, inputs[:, 0] * 0.5 - 4.0)
    assert har.weights[4:] == pytest.approx(np.zeros(10), abs=1e-12)
    assert har.forecast(inputs) == pytest.approx(inputs[:, 0] * 0.5 - 4.0)
