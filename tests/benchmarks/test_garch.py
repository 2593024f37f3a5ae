"""Bands and skill where the true volatility is known."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.garch import measure, shows_skill, simulate
from trainer.features.volatility import bar_variance


def test_the_simulated_ranges_are_those_of_its_volatility() -> None:
    bars, volatility = simulate(3_000, 1)
    assert np.sqrt(bar_variance(bars).mean() / np.mean(volatility**2)) == pytest.approx(0.95, abs=0.04)
    assert volatility.std() / volatility.mean() > 0.15
    assert np.ptp(simulate(50, 1, 0.0, 0.0)[1]) == 0


@pytest.mark.parametrize("seed", [0, 1])
def test_har_nears_the_true_volatility_and_its_bands_hold_what_they_say(seed: int) -> None:
    found = measure(12_000, seed)
    assert found["har"] == pytest.approx(found["true"], abs=0.025)
    assert max(found["har"], found["trees"]) <= found["true"] + 0.01
    assert found["0.9 band"] == pytest.approx(0.9, abs=0.02)
    assert found["wild"] >= 0.86


def test_constant_volatility_shows_no_skill_over_its_mean() -> None:
    assert [name for seed in range(3) for name in shows_skill(1_500, seed)] == []
