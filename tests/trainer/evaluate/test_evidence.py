from __future__ import annotations

import math
from datetime import UTC, datetime

import numpy as np
import pytest

from atb.documents.evidence import MOST_ROWS, TestRows
from atb.registry.betting import e_bh_bound
from atb.registry.candidate import Candidate
from atb.registry.ledger import advance
from tests.atb.registry.candidates import make_result
from trainer.evaluate.baselines import fit_linear, forecast_linear
from trainer.evaluate.evidence import HALF_LIFE, make_test_rows, trailing_scale
from trainer.evaluate.metrics import Floats, skill

NOW = datetime(2026, 1, 31, tzinfo=UTC)


def test_the_scale_of_a_row_knows_only_what_was_known_by_then() -> None:
    errors = np.random.default_rng(0).normal(size=300)
    for horizon in (1, 24):
        whole = trailing_scale(errors, horizon, 0.8)
        changed = errors.copy()
        changed[200:] *= 50
        assert np.array_equal(trailing_scale(changed, horizon, 0.8)[: 200 + horizon], whole[: 200 + horizon])
        assert trailing_scale(changed, horizon, 0.8)[200 + horizon] > whole[200 + horizon]


def test_the_scale_of_normal_errors_is_their_deviation() -> None:
    errors = 3 * np.random.default_rng(1).normal(size=4_000)
    assert np.mean(trailing_scale(errors, 1, 0.0)[10 * HALF_LIFE :]) == pytest.approx(3, rel=0.05)


def test_of_more_rows_than_fit_the_latest_are_kept() -> None:
    count = MOST_ROWS + 5
    columns = {name: np.arange(count, dtype=np.float64) for name in ("forecast", "outcome", "scale", "linear")}
    rows = make_test_rows(np.arange(count), 1, 1, "persistence", columns, 1.0)
    assert (len(rows.time), rows.time[-1], rows.forecast[0]) == (MOST_ROWS, count - 1, 5.0)


def linear_rows(close: Floats) -> tuple[TestRows, float]:
    """A cheap learner on 2,000 bars, and its skill."""
    train, validation, test = np.arange(60, 1_200), np.arange(1_200, 1_500), np.arange(1_560, len(close) - 1)
    model = fit_linear(close, train, 1, 60)
    forecast = np.log(forecast_linear(model, close, test) / close[test])
    outcome = np.log(close[1:] / close[:-1])
    spread = float(np.sqrt(np.mean(np.square(np.log(forecast_linear(model, close, validation) / close[validation])))))
    scale = trailing_scale(outcome[1_200:], 1, float(np.mean(np.abs(outcome[:1_200]))))
    columns = {"forecast": forecast, "outcome": outcome[test], "scale": scale[test - 1_200], "linear": forecast}
    found = skill(close[test + 1], close[test] * np.exp(forecast), close[test])
    return make_test_rows(test * 3_600_000, 3_600_000, 1, "persistence", columns, spread), found


def log_e(rows: TestRows) -> float:
    return advance(None, Candidate.of(make_result()), rows, NOW).log_e


def test_a_learner_on_random_walks_never_passes() -> None:
    logs = []
    for seed in range(120):
        rng = np.random.default_rng(seed)
        steps = rng.standard_t(3, size=2_000) if seed % 2 else rng.normal(size=2_000)
        logs.append(log_e(linear_rows(np.exp(np.cumsum(steps * 0.01)))[0]))
    assert max(logs) < math.log(e_bh_bound(logs, 0.05))
    assert np.mean(np.exp(logs) >= 20) <= 1 / 20


def test_a_learner_on_a_sine_passes() -> None:
    rows, found = linear_rows(100 * np.exp(0.2 * np.sin(2 * np.pi * np.arange(2_000) / 48)))
    assert log_e(rows) > math.log(e_bh_bound([0.0] * 500, 0.05))
    assert found > 0
