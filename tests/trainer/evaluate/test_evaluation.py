from __future__ import annotations

import json

import numpy as np
import pytest

from atb.documents.evaluation import TradingTerms
from trainer.evaluate.backtest import TradingRules
from trainer.evaluate.evaluation import compare_forecasts, judge_forecast, spread, trailing_volatility
from trainer.evaluate.metrics import Floats
from trainer.evaluate.rows import JudgedRows

HOUR = 3_600_000


def baselines_of(rows: JudgedRows) -> dict[str, Floats]:
    """Persistence, and one that is worse."""
    return {"drift": rows.last * 1.002, "persistence": rows.last}


def rows_of(close: Floats, first: int = 600, horizon: int = 1) -> JudgedRows:
    return JudgedRows(close, np.arange(first, len(close) - horizon), horizon, HOUR)


def walk(rows: int = 900, seed: int = 0, level: float = 1.0) -> Floats:
    closes: Floats = level * np.exp(np.cumsum(np.random.default_rng(seed).normal(scale=0.01, size=rows)))
    return closes


@pytest.mark.parametrize("level", [1e-8, 1e5])
def test_a_judgement_holds_finite_numbers_for_model_baselines_regimes_and_trading(level: float) -> None:
    rows = rows_of(walk(level=level))
    found = judge_forecast(rows, rows.last * 1.001, baselines_of(rows))
    whole = {
        "m": found.metrics,
        "b": found.baselines,
        "e": found.evaluation.model_dump(),
        "t": found.backtest.model_dump(),
    }
    json.dumps(whole, allow_nan=False)
    assert list(found.baselines) == list(found.evaluation.over) == ["persistence", "drift"]
    assert set(found.metrics) == {*found.baselines["drift"], "skill_over_best", "skill_over_best_low"}
    assert found.metrics["skill_over_best"] == found.metrics["skill"] < 0 < found.evaluation.over["drift"]["skill"]
    assert found.backtest.rules == TradingTerms(fee_bps=10, slippage_bps=2, threshold_bps=12, short=False)
    assert set(found.backtest.model) == set(found.backtest.hold)
    assert set(found.backtest.curves) == {"model", "hold"}


def test_two_forecasts_are_compared_on_the_same_rows() -> None:
    rows = rows_of(walk())
    found = compare_forecasts(rows, rows.last * 1.001, rows.actual)
    assert found.rows == len(rows.ends)
    assert found.champion["skill"] == 1.0 > found.candidate["skill"]
    assert found.champion_trading["return"] > found.candidate_trading["return"]


def test_the_regimes_are_thirds_by_the_volatility_before_the_row() -> None:
    rng = np.random.default_rng(4)
    scale = np.repeat([0.001, 0.01, 0.05], 300)
    rows = rows_of(np.exp(np.cumsum(rng.normal(size=900) * scale)), first=30)
    regimes = judge_forecast(rows, rows.last, baselines_of(rows)).evaluation.regimes
    assert list(regimes) == ["calm", "usual", "wild"]
    assert sum(regime["rows"] for regime in regimes.values()) == len(rows.ends)
    mape = [regime["mape"] for regime in regimes.values()]
    assert mape[0] < mape[1] / 3 < mape[2] / 9


def test_trailing_volatility_equals_the_plain_computation_and_reads_no_later_row() -> None:
    close = walk(100)
    returns = np.diff(np.log(close), prepend=np.log(close[:1]))
    plain = [np.std(returns[max(0, row - 23) : row + 1]) for row in range(100)]
    assert trailing_volatility(close) == pytest.approx(plain, abs=1e-9)
    assert np.array_equal(trailing_volatility(close)[:50], trailing_volatility(close[:50]))


def test_a_model_that_says_one_thing_has_no_spread() -> None:
    rows = rows_of(walk())
    assert spread(rows, rows.last * 1.01) == pytest.approx(0, abs=1e-9)
    assert spread(rows, rows.actual) == pytest.approx(1)
    flat = rows_of(np.full(900, 2.0))
    assert spread(flat, flat.last * 1.01) == 0


def test_trading_rules_reach_the_backtest() -> None:
    rows = rows_of(walk())
    long_only = judge_forecast(rows, rows.actual, baselines_of(rows))
    both = judge_forecast(rows, rows.actual, baselines_of(rows), TradingRules(short=True))
    assert both.backtest.model["exposure"] > 1.5 * long_only.backtest.model["exposure"]
