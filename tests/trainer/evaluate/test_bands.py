"""Price bands: their width and their metrics."""

from __future__ import annotations

import numpy as np
import pytest

from trainer.evaluate.bands import (
    Bands,
    conformal_quantiles,
    conformal_scores,
    ewma_volatility,
    gaussian_bands,
    historical_bands,
    make_bands,
    measure_bands,
)

LEVELS = (0.5, 0.8, 0.95)


def test_a_quantile_is_the_score_that_leaves_room_for_one_row_more() -> None:
    scores = np.arange(1.0, 100.0)[::-1]  # 99 of them: ranks 50, 80 and 95 of 100
    assert conformal_quantiles(LEVELS, scores) == (50.0, 80.0, 95.0)
    assert conformal_quantiles((0.999,), scores) == (99.0,)
    assert conformal_quantiles(LEVELS, np.array([0.7])) == (0.7, 0.7, 0.7)


def test_bands_cover_as_often_as_they_say_whatever_the_distribution() -> None:
    source = np.random.default_rng(5)
    covered = []
    for _ in range(200):
        volatility = np.exp(source.normal(size=400)) / 100
        returns = volatility * 2 * source.standard_t(3, size=400)
        last = np.full(400, 50.0)
        actual = last * np.exp(returns)
        scores = conformal_scores(last[:200], actual[:200], np.zeros(200), volatility[:200], 4)
        bands = make_bands(LEVELS, conformal_quantiles(LEVELS, scores), last[200:], np.zeros(200), volatility[200:], 4)
        covered.append([each.coverage for each in measure_bands(bands, actual[200:], last[200:])])
    assert np.mean(covered, axis=0) == pytest.approx(LEVELS, abs=0.012)


def test_bands_lie_around_the_forecast_and_widen_with_volatility_and_horizon() -> None:
    last, volatility = np.array([100.0, 1e-8]), np.array([0.01, 0.02])
    bands = make_bands((0.5,), (1.5,), last, np.array([0.1, 0.0]), volatility, 4)
    assert bands.lower[:, 0] == pytest.approx(last * np.exp([0.1 - 0.03, -0.06]), rel=1e-12)
    assert bands.upper[:, 0] == pytest.approx(last * np.exp([0.1 + 0.03, 0.06]), rel=1e-12)


def test_a_gaussian_band_is_as_wide_as_its_normal_quantile() -> None:
    bands = gaussian_bands((0.95,), np.array([1.0]), np.array([0.01]), 1)
    assert np.log(bands.upper[0, 0]) == pytest.approx(0.0195996, rel=1e-5)


def test_historical_simulation_takes_the_quantiles_of_the_returns_it_was_given() -> None:
    returns = np.linspace(-0.1, 0.3, 101)
    bands = historical_bands((0.8,), np.array([2.0, 4.0]), returns)
    assert bands.lower[:, 0] == pytest.approx(np.array([2.0, 4.0]) * np.exp(-0.06))
    assert bands.upper[:, 0] == pytest.approx(np.array([2.0, 4.0]) * np.exp(0.26))


def test_ewma_weighs_each_return_by_the_decay_of_the_next() -> None:
    found = ewma_volatility(np.array([9.0, 0.01, -0.02, 0.04, 0.5]), np.array([3]), 3)
    assert found**2 == pytest.approx((0.94**2 * 0.01**2 + 0.94 * 0.02**2 + 0.04**2) / (1 + 0.94 + 0.94**2))
    assert ewma_volatility(np.zeros(50), np.array([40]), 20) > 0


def test_a_score_is_the_width_and_what_a_miss_costs() -> None:
    bands = Bands((0.8,), np.array([[90.0], [90.0], [90.0]]), np.array([[110.0], [110.0], [110.0]]))
    (found,) = measure_bands(bands, np.array([100.0, 89.0, 112.0]), np.full(3, 100.0))
    assert found.coverage == pytest.approx(1 / 3)
    assert found.width == pytest.approx(0.2)
    assert found.score == pytest.approx(0.2 + 10 * (0.01 + 0.02) / 3)
