from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import pytest

from atb.registry.betting import (
    MOST_CLASSES,
    Bet,
    class_of,
    e_bh_bound,
    e_value,
    log_behind,
    log_e_value,
    place_bets,
    start_wealth,
)


def bets(forecast: Iterable[float], outcome: Iterable[float], first: int = 0) -> list[Bet]:
    return [Bet(first + row, *pair) for row, pair in enumerate(zip(forecast, outcome, strict=True))]


def test_before_any_row_the_evidence_is_one() -> None:
    assert e_value(log_e_value(start_wealth(1))) == pytest.approx(1)
    assert e_value(log_e_value(start_wealth(1_000))) == pytest.approx(1)


def test_a_bet_that_comes_true_makes_the_wealth_grow_by_stake_times_outcome() -> None:
    once = place_bets(start_wealth(1), bets([1.0], [2.0]), 1)
    assert math.exp(log_e_value(once)) == pytest.approx(1 + 2 * (0.05 + 0.1 + 0.2 + 0.3) / 4)


def test_no_row_however_wild_moves_the_wealth_by_more_than_its_cap() -> None:
    won = place_bets(start_wealth(1), bets([1e9], [1e9]), 1)
    lost = place_bets(start_wealth(1), bets([1e9], [-1e9]), 1)
    assert math.exp(log_e_value(won)) == pytest.approx(1.9)
    assert math.exp(log_e_value(lost)) == pytest.approx(0.1)


def test_evidence_of_two_nights_multiplies_as_if_it_were_one() -> None:
    rng = np.random.default_rng(0)
    forecast, outcome = rng.normal(size=200).tolist(), rng.normal(size=200).tolist()
    at_once = place_bets(start_wealth(3), bets(forecast, outcome), 3)
    first = place_bets(start_wealth(3), bets(forecast[:130], outcome[:130]), 3)
    assert place_bets(first, bets(forecast[130:], outcome[130:], 130), 3) == at_once


def test_fair_bets_have_an_expectation_of_one_under_heavy_tails() -> None:
    rng = np.random.default_rng(1)
    values = []
    for _ in range(3_000):
        forecast, outcome = rng.normal(size=30), rng.standard_t(3, size=30)
        values.append(math.exp(log_e_value(place_bets(start_wealth(1), bets(forecast, outcome), 1))))
    assert np.mean(values) == pytest.approx(1.0, abs=0.03)
    assert np.mean(np.array(values) >= 20) <= 1 / 20


def test_overlapping_targets_count_once() -> None:
    """The same day of outcomes, repeated 24 times: a product over all rows would take it for 24 days."""
    rng = np.random.default_rng(2)
    days = rng.normal(size=40)
    forecast, outcome = np.repeat(np.sign(days), 24), np.repeat(days, 24)
    blind = log_e_value(place_bets(start_wealth(1), bets(forecast, outcome), 1))
    once = log_e_value(place_bets(start_wealth(1), bets(np.sign(days), days), 1))
    assert log_e_value(place_bets(start_wealth(24), bets(forecast, outcome), 24)) == pytest.approx(once)
    assert blind > 10 * once


@pytest.mark.parametrize("horizon", [1, 5, MOST_CLASSES, 25, 100, 1_000])
def test_rows_of_a_class_are_a_horizon_apart(horizon: int) -> None:
    steps: dict[int, list[int]] = {}
    for step in range(3 * horizon):
        if (own := class_of(step, horizon)) is not None:
            steps.setdefault(own, []).append(step)
    assert sorted(steps) == list(range(min(horizon, MOST_CLASSES)))
    assert all(np.diff(each).tolist() == [horizon, horizon] for each in steps.values())


def test_a_row_without_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="row 0 has no"):
        place_bets(start_wealth(1), bets([math.nan], [1.0]), 1)


@pytest.mark.parametrize(
    ("values", "bound"),
    [
        ([25.0], 20.0),
        ([10.0], 20.0),
        ([1.0] * 9, 180.0),
        ([100.0, 90.0, 1.0, 1.0], 40.0),
        ([100.0, 30.0, 1.0, 1.0], 80.0),
        ([41.0, 41.0, 30.0, 30.0], 20.0),
        ([], 20.0),
    ],
)
def test_e_bh_asks_the_largest_number_that_reach_their_bound(values: list[float], bound: float) -> None:
    assert e_bh_bound([math.log(value) for value in values], 0.05) == pytest.approx(bound)


def test_an_e_value_of_any_size_is_a_finite_number() -> None:
    assert math.isfinite(e_value(1e6))


def test_a_champion_is_behind_as_its_squared_errors_exceed_the_bar_s() -> None:
    rng = np.random.default_rng(3)
    forecast, noise = 0.2 * rng.normal(size=20_000), rng.normal(size=20_000)

    def mean(outcome: Iterable[float]) -> float:
        return float(np.mean([log_behind(*pair) for pair in zip(forecast, outcome, strict=True)]))

    assert mean(noise) == pytest.approx(0.02, abs=0.004)
    assert mean(noise + forecast) == pytest.approx(-0.02, abs=0.004)
    fair = [math.exp(log_behind(*pair)) for pair in zip(forecast, noise + forecast, strict=True)]
    assert np.mean(fair) == pytest.approx(1.0, abs=0.005)
