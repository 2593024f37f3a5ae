from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atb.errors import DataError, Diverged
from trainer.evaluate.metrics import (
    Floats,
    commoner_direction,
    directional_accuracy,
    price_metrics,
    skill,
    skill_low,
    volatility_metrics,
    wilson_interval,
)

LAST = np.array([100.0, 110.0, 105.0, 105.0])
ACTUAL = np.array([110.0, 105.0, 105.0, 100.0])
PREDICTED = np.array([105.0, 100.0, 106.0, 110.0])


def measure(actual: Floats, predicted: Floats, last: Floats, horizon: int = 1) -> dict[str, float]:
    return dict(price_metrics(actual, predicted, last, horizon))


@pytest.mark.parametrize("level", [1e-8, 1e-6, 1.0, 1e5])
def test_metrics_equal_hand_computed_ones_at_any_price_level(level: float) -> None:
    found = measure(ACTUAL * level, PREDICTED * level, LAST * level)
    assert found["rmse"] == pytest.approx(level * math.sqrt((25 + 25 + 1 + 100) / 4), rel=1e-9)
    assert found["mae"] == pytest.approx(level * (5 + 5 + 1 + 10) / 4, rel=1e-9)
    assert found["mape"] == pytest.approx(100 * (5 / 110 + 5 / 105 + 1 / 105 + 10 / 100) / 4, rel=1e-9)
    assert found["smape"] == pytest.approx(200 * (5 / 215 + 5 / 205 + 1 / 211 + 10 / 210) / 4, rel=1e-9)
    assert found["directional_accuracy"] == pytest.approx(2 / 3)
    assert found["skill"] == pytest.approx(1 - math.sqrt(151 / (100 + 25 + 0 + 25)), rel=1e-9)


def test_persistence_has_no_skill_and_half_the_directions() -> None:
    found = measure(ACTUAL, LAST, LAST)
    assert found["skill"] == 0.0
    assert found["directional_accuracy"] == 0.5


def test_a_perfect_forecast_has_skill_one() -> None:
    assert measure(ACTUAL, ACTUAL, LAST)["skill"] == 1.0


def test_a_price_that_never_moves_gives_finite_numbers() -> None:
    flat = np.full(50, 3.0)
    assert measure(flat, flat, flat)["skill"] == 0.0
    assert measure(flat, flat * 1.1, flat)["skill"] == -1.0
    assert directional_accuracy(flat, flat * 1.1, flat) == (0.5, 0)


def test_the_interval_of_a_share_is_wilsons() -> None:
    low, high = wilson_interval(0.5, 100)
    assert (low, high) == pytest.approx((0.40383, 0.59617), abs=1e-5)
    assert wilson_interval(0.3, 0) == (0.0, 1.0)


def test_overlapping_targets_widen_the_interval() -> None:
    rng = np.random.default_rng(0)
    last = np.exp(rng.normal(size=400))
    actual = last * np.exp(rng.normal(size=400))
    one, six = measure(actual, actual, last), measure(actual, actual, last, horizon=6)
    assert six["directional_accuracy_low"] < one["directional_accuracy_low"] < 1


def test_skill_of_a_slightly_informed_forecast_is_shown_with_enough_rows() -> None:
    rng = np.random.default_rng(1)
    moves = rng.normal(scale=0.01, size=4_000)
    hint = 0.3 * moves + rng.normal(scale=0.003, size=4_000)
    last = np.full(4_000, 50.0)
    actual, predicted = last * np.exp(moves), last * np.exp(hint)
    assert 0 < skill_low(actual, predicted, last) < skill(actual, predicted, last)
    few = slice(0, 20)
    assert skill_low(actual[few], predicted[few], last[few]) == -1.0


def test_noise_shows_no_skill_on_two_thousand_random_walks() -> None:
    rng = np.random.default_rng(2)
    shown = 0
    for _ in range(2_000):
        moves = rng.standard_t(4, size=300) * 0.01
        last = np.full(300, 1e-6)
        predicted = last * np.exp(rng.normal(scale=0.0005, size=300))
        shown += skill_low(last * np.exp(moves), predicted, last) > 0
    assert shown <= 8  # one in 700 expected of normal errors


@pytest.mark.parametrize("bad", [math.nan, math.inf, 0.0, -1.0])
def test_a_forecast_that_is_no_price_is_refused(bad: float) -> None:
    predicted = PREDICTED.copy()
    predicted[1] = bad
    with pytest.raises(Diverged, match="1 of 4 rows"):
        measure(ACTUAL, predicted, LAST)


def test_no_rows_are_refused() -> None:
    empty = np.array([])
    with pytest.raises(DataError, match="nothing to judge"):
        measure(empty, empty, empty)


@given(
    st.lists(
        st.tuples(*[st.floats(1e-12, 1e9, allow_nan=False)] * 3),
        min_size=1,
        max_size=40,
    ),
    st.integers(1, 5),
)
def test_every_metric_fits_in_json(rows: list[tuple[float, float, float]], horizon: int) -> None:
    actual, predicted, last = np.array(rows).T
    json.dumps(measure(actual, predicted, last, horizon), allow_nan=False)


def test_the_commoner_direction_is_what_saying_one_thing_gets_right() -> None:
    last, actual = np.full(5, 10.0), np.array([9.0, 9.0, 9.0, 11.0, 10.0])
    assert commoner_direction(actual, last) == 0.75
    assert directional_accuracy(actual, last - 1, last)[0] == 0.75
    assert measure(actual, last - 1, last)["commoner_direction"] == 0.75
    assert commoner_direction(last, last) == 0.5


def test_metrics_of_volatility_equal_hand_computed_ones() -> None:
    actual, predicted, before = np.log([[0.01, 0.02, 0.04], [0.02, 0.02, 0.02], [0.01, 0.01, 0.01]])
    found = dict(volatility_metrics(actual, predicted, before, 1, train_mean=math.log(0.01)))
    two = math.log(2)
    assert found["rmse"] == pytest.approx(two * math.sqrt(2 / 3))
    assert found["mae"] == pytest.approx(two * 2 / 3)
    assert found["rmse_volatility"] == pytest.approx(math.sqrt((0.01**2 + 0.02**2) / 3))
    assert found["qlike"] == pytest.approx(((0.25 + 2 * two - 1) + (4 - 2 * two - 1)) / 3)
    assert found["r2"] == pytest.approx(1 - 2 / 5)
    assert found["skill"] == pytest.approx(1 - math.sqrt(2 / 5))
    assert found["skill_low"] == -1  # of three rows


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e3])
def test_a_forecast_that_is_no_volatility_is_refused(bad: float) -> None:
    with pytest.raises(Diverged, match="not a volatility on 1 of 4 rows"):
        dict(volatility_metrics(np.zeros(4), np.array([0, bad, 0, 0]), np.zeros(4)))


def test_overlapping_volatility_that_is_noise_shows_no_skill() -> None:
    shown = 0
    for seed in range(300):
        noise = np.random.default_rng(seed).normal(size=1_500)
        means = np.convolve(noise, np.full(12, 1 / 12), "valid")  # neighbours share eleven of twelve bars
        other = np.convolve(np.random.default_rng(10_000 + seed).normal(size=1_500), np.full(12, 1 / 12), "valid")
        shown += skill_low(means, np.zeros(len(means)) + 0.05 * other, 0.05 * np.roll(other, 600), 12) > 0
    assert shown <= 3
