"""The published simulation in a short form: noise that is retrained nightly, and what can be forecast."""

from __future__ import annotations

import pytest

from benchmarks.evidence import Draw, Market, demotions, garch, make_returns, make_volatility, normal, simulate, student


@pytest.mark.parametrize("draw", [normal, student, garch])
def test_noise_retrained_nightly_is_not_promoted(draw: Draw) -> None:
    assert simulate(make_returns(draw, 11, 40, 0, 8), 8).false == 0


def test_volatility_that_the_bar_knows_all_about_is_not_promoted() -> None:
    market: Market = make_volatility(12, 30, 6)
    assert simulate(market, 6).false == 0


def test_a_planted_skill_of_two_percent_is_found_within_ten_nights() -> None:
    found = simulate(make_returns(normal, 13, 50, 10, 10), 10)
    assert len(found.found) >= 9
    assert found.false == 0
    assert len(found.found_before) < len(found.found)


def test_a_champion_is_demoted_when_its_market_changes_and_not_before() -> None:
    nights = demotions(normal, 14, 20, 60, 30)
    assert sum(night > 60 for night in nights) >= 18
    assert sum(night <= 60 for night in nights) == 0
