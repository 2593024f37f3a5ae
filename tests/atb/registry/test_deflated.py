from __future__ import annotations

import math

import numpy as np
import pytest

from atb.registry.deflated import deflated_sharpe

YEAR = 8_760.0


def test_one_trial_is_a_plain_test_of_the_sharpe() -> None:
    assert deflated_sharpe(0.0, 648, 0.0, 3.0, 1, 0.0, YEAR) == pytest.approx(0.5)
    high = deflated_sharpe(3.0 * math.sqrt(YEAR / 648), 648, 0.0, 3.0, 1, 0.0, YEAR)
    assert high == pytest.approx(0.9986, abs=2e-4)


def test_the_luckiest_of_many_trials_that_know_nothing_is_no_surprise() -> None:
    rng = np.random.default_rng(0)
    trials, bars, beaten = 200, 648, 0
    for _ in range(60):
        returns = rng.normal(size=(trials, bars))
        sharpes = returns.mean(axis=1) / returns.std(axis=1) * math.sqrt(YEAR)
        found = deflated_sharpe(float(sharpes.max()), bars, 0.0, 3.0, trials, float(sharpes.var(ddof=1)), YEAR)
        assert found is not None
        beaten += found > 0.95
    assert beaten <= 8


def test_too_few_bars_say_nothing() -> None:
    assert deflated_sharpe(1.0, 1, 0.0, 3.0, 5, 1.0, YEAR) is None
