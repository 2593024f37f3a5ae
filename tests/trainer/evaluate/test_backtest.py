from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.evaluate.backtest import TradingRules, contiguous, curve, drawdown, hold, run_backtest, summarise

HOUR = 3_600_000
FREE = TradingRules(fee_bps=0, slippage_bps=0)
CLOSE = np.array([100.0, 110.0, 99.0, 108.9, 108.9])


def test_two_trades_come_to_what_a_hand_computes() -> None:
    # bought at 100, sold at 110; bought at 99, sold at the last close, 108.9; 1 % each way
    rules = TradingRules(fee_bps=60, slippage_bps=40, threshold_bps=0)
    done = run_backtest(CLOSE, np.arange(4), np.array([0.1, -0.1, 0.1, -0.1]), 1, rules)
    assert done.positions == pytest.approx([1, 0, 1, 0])
    assert done.returns == pytest.approx([0.10 - 0.01, -0.01, 0.10 - 0.01, -0.01])
    found = dict(summarise(done, HOUR))
    assert found["return"] == pytest.approx(1.09 * 0.99 * 1.09 * 0.99 - 1)
    assert found["trades"] == 4
    assert found["exposure"] == 0.5
    assert found["turnover"] == 4
    assert found["drawdown"] == pytest.approx(0.01)


def test_short_earns_when_the_price_falls() -> None:
    rules = TradingRules(fee_bps=0, slippage_bps=100, short=True, threshold_bps=0)
    done = run_backtest(CLOSE, np.arange(3), np.array([0.1, -0.1, 0.1]), 1, rules)
    assert done.positions == pytest.approx([1, -1, 1])
    assert done.returns == pytest.approx([0.1 - 0.01, 0.1 - 0.02, 0.1 - 0.02 - 0.01])
    assert sum(done.traded) == 6


def test_a_position_is_closed_at_the_end_of_each_group_of_rows() -> None:
    close = np.array([100.0, 101.0, 50.0, 50.0, 51.0])
    rules = TradingRules(fee_bps=100, slippage_bps=0, threshold_bps=0)
    done = run_backtest(close, np.array([0, 3]), np.array([0.5, 0.5]), 1, rules)
    assert done.returns == pytest.approx([0.01 - 0.02, 0.02 - 0.02])
    assert done.trades == 4


def test_a_forecast_of_three_bars_is_held_for_three_in_thirds() -> None:
    close = np.geomspace(100, 100 * 1.01**7, 8)
    done = run_backtest(close, np.arange(3), np.array([0.1, -0.1, 0.1]), 3, FREE)
    assert done.positions == pytest.approx([1 / 3, 1 / 3, 2 / 3, 1 / 3, 1 / 3])
    assert done.returns == pytest.approx(np.array([1, 1, 2, 1, 1]) / 300)
    assert list(done.ends) == [0, 1, 2, 3, 4]


def test_the_threshold_defaults_to_the_cost_of_a_trade() -> None:
    assert TradingRules(fee_bps=10, slippage_bps=2).threshold == pytest.approx(0.0012)
    done = run_backtest(CLOSE, np.arange(4), np.full(4, 0.0011), 1, TradingRules())
    assert dict(summarise(done, HOUR)) == pytest.approx(
        {
            "return": 0,
            "sharpe": 0,
            "sharpe_error": math.sqrt(8760 / 4),
            "drawdown": 0,
            "trades": 0,
            "exposure": 0,
            "turnover": 0,
            "bars": 4,
            "skew": 0,
            "kurtosis": 3,
        }
    )


def test_holding_covers_the_same_bars_at_the_same_costs() -> None:
    close = np.array([100.0, 110.0, 121.0, 133.1, 7.0])
    done = hold(close, np.arange(2), 2, TradingRules(fee_bps=100, slippage_bps=0))
    assert done.returns == pytest.approx([0.1 - 0.01, 0.1, 0.1 - 0.01])


def test_sharpe_and_its_error_are_lo_s() -> None:
    close = np.array([100.0, 102.0, 100.98, 103.0])
    done = run_backtest(close, np.arange(3), np.ones(3), 1, FREE)
    each = done.returns.mean() / done.returns.std()
    found = dict(summarise(done, HOUR))
    assert found["sharpe"] == pytest.approx(each * math.sqrt(8760))
    assert found["sharpe_error"] == pytest.approx(math.sqrt((1 + each**2 / 2) / 3) * math.sqrt(8760))


def test_drawdown_is_the_largest_loss_from_a_peak() -> None:
    assert drawdown(np.array([1.2, 0.9, 1.5, 1.2])) == pytest.approx(0.25)
    assert drawdown(np.array([0.8, 0.9])) == pytest.approx(0.2)


def test_the_small_curve_ends_where_the_equity_does() -> None:
    close = np.geomspace(1, 2, 1_001)
    done = run_backtest(close, np.arange(1_000), np.ones(1_000), 1, FREE)
    assert len(curve(done)) == 120
    assert curve(done)[-1] == pytest.approx(2)
    assert curve(run_backtest(close, np.arange(3), np.ones(3), 1, FREE))[0] == pytest.approx(close[1], abs=1e-5)


def test_changing_the_future_changes_nothing_before_it() -> None:
    rng = np.random.default_rng(0)
    close = np.exp(np.cumsum(rng.normal(scale=0.01, size=200)))
    forecast = rng.normal(scale=0.01, size=150)
    changed_close, changed = close.copy(), forecast.copy()
    changed_close[101:] *= 3
    changed[100:] *= -1
    one = run_backtest(close, np.arange(150), forecast, 3, TradingRules(short=True))
    two = run_backtest(changed_close, np.arange(150), changed, 3, TradingRules(short=True))
    assert np.array_equal(one.equity[:100], two.equity[:100])
    assert not np.array_equal(one.equity[100:], two.equity[100:])


def test_noise_at_a_cost_loses_about_its_costs() -> None:
    ends = np.arange(5_000)
    total = 0.0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        close = np.exp(np.cumsum(rng.normal(scale=0.002, size=5_001)))
        rules = TradingRules(threshold_bps=0)
        done = run_backtest(close, ends, rng.normal(size=5_000), 1, rules)
        total += float(np.sum(done.returns) + np.sum(done.traded) * rules.cost)
    assert abs(total / 20) < 0.1  # before costs, a mean of nothing: its standard error is 0.02


def test_a_short_that_loses_everything_leaves_nothing() -> None:
    close = np.array([1.0, 3.0, 3.0])
    done = run_backtest(close, np.arange(2), np.array([-1.0, -1.0]), 1, TradingRules(short=True))
    assert list(done.equity) == [0.0, 0.0]
    json.dumps(dict(summarise(done, HOUR)), allow_nan=False)


@given(st.lists(st.integers(0, 300), min_size=1, max_size=60, unique=True), st.integers(1, 7), st.booleans())
def test_every_number_is_finite_and_within_its_range(rows: list[int], horizon: int, short: bool) -> None:
    ends = np.array(sorted(rows), dtype=np.int64)
    rng = np.random.default_rng(len(rows))
    close = np.exp(rng.normal(size=400)) * 1e-8
    for done in (
        run_backtest(close, ends, rng.normal(size=len(ends)), horizon, TradingRules(short=short)),
        hold(close, ends, horizon, TradingRules()),
    ):
        found = dict(summarise(done, HOUR))
        json.dumps(found, allow_nan=False)
        assert 0 <= found["drawdown"] <= 1
        assert 0 <= found["exposure"] <= 1 + 1e-9
    assert sum(len(group) for group in contiguous(ends)) == len(ends)


def test_the_shape_of_a_bars_return_is_reported() -> None:
    close = np.array([100.0, 100.0, 100.0, 100.0, 110.0])
    found = dict(summarise(run_backtest(close, np.arange(4), np.full(4, 1.0), 1, FREE), HOUR))
    # one return of four is 0.1: a binary variable of chance 1/4
    assert found["skew"] == pytest.approx((1 - 2 / 4) / np.sqrt(3 / 16))
    assert found["kurtosis"] == pytest.approx(3 + (1 - 6 * 3 / 16) / (3 / 16))
