from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from atb.documents.evidence import TestRows
from launcher.report.panel import FEWEST_SYMBOLS, SymbolRows, judge_panel, rank_correlation, t_value
from launcher.report.together import MOST_ROWS, panel_lines

HOUR = 3_600_000


def panel_rows(forecast: NDArray[np.float64], outcome: NDArray[np.float64]) -> dict[str, SymbolRows]:
    """``[symbols, hours]`` as what each symbol's model leaves."""
    return {
        f"S{number}": SymbolRows.of(
            TestRows(
                bar="persistence",
                horizon=1,
                step_ms=HOUR,
                spread=0.001,
                time=tuple(range(0, HOUR * len(predicted), HOUR)),
                forecast=tuple(predicted.tolist()),
                outcome=tuple(came.tolist()),
                scale=(0.01,) * len(predicted),
                linear=(0.0,) * len(predicted),
            ),
            MOST_ROWS,
        )
        for number, (predicted, came) in enumerate(zip(forecast, outcome, strict=True))
    }


def test_fewer_than_ten_symbols_are_no_panel() -> None:
    values = np.zeros((FEWEST_SYMBOLS - 1, 50))
    assert judge_panel("fast", panel_rows(values, values), 0.0) is None


def test_forecasts_that_know_something_show_in_every_number_and_those_that_do_not_in_none() -> None:
    rng = np.random.default_rng(0)
    noise, knows = 0.01 * rng.normal(size=(30, 400)), 0.002 * rng.normal(size=(30, 400))
    found = judge_panel("fast", panel_rows(knows, noise + knows), 0.0)
    assert found is not None
    assert (found.symbols, found.hours) == (30, 400)
    assert found.model.skill == pytest.approx(1 - 1 / np.sqrt(1.04), abs=0.004)
    assert min(found.model.skill_t, found.model.rank_ic_t, found.model.long_short_t or 0) > 5
    assert found.linear is not None
    assert (found.linear.skill, found.linear.rank_ic, found.linear.long_short_bps) == (0.0, 0.0, 0.0)
    blind = judge_panel("fast", panel_rows(knows, noise), 0.0)
    assert blind is not None
    assert blind.model.skill < 0
    assert abs(blind.model.rank_ic_t) < 3
    assert abs(blind.model.long_short_t or 9) < 3


def test_symbols_that_all_move_together_are_one_witness_an_hour() -> None:
    """One series repeated 40 times adds no evidence: plain errors would make its t six times as large."""
    rng = np.random.default_rng(1)
    predicted, came = 0.002 * rng.normal(size=200), 0.01 * rng.normal(size=200)
    wide = judge_panel("fast", panel_rows(np.tile(predicted, (40, 1)), np.tile(came, (40, 1))), 0.0)
    narrow = judge_panel("fast", panel_rows(np.tile(predicted, (10, 1)), np.tile(came, (10, 1))), 0.0)
    assert wide is not None
    assert narrow is not None
    assert wide.model.skill_t == pytest.approx(narrow.model.skill_t)


def test_trading_costs_what_is_traded() -> None:
    forecast = np.tile(np.arange(12.0)[:, None], (1, 50))
    free, dear = (judge_panel("fast", panel_rows(forecast, np.zeros((12, 50))), cost) for cost in (0.0, 0.001))
    assert free is not None
    assert dear is not None
    # the same symbols are held throughout: one unit is bought once
    assert free.model.long_short_bps == 0.0
    assert dear.model.long_short_bps == pytest.approx(-10 / 50)


def test_what_is_not_traded_on_has_no_portfolio() -> None:
    found = judge_panel("volatility", panel_rows(np.tile(np.arange(12.0)[:, None], (1, 50)), np.zeros((12, 50))), None)
    assert found is not None
    assert found.model.long_short_bps is None
    assert found.model.long_short_t is None
    (line, _) = panel_lines([found])
    assert "rank IC" in line
    assert "long" not in line


def test_rank_correlation_is_spearman_s_with_ties() -> None:
    assert rank_correlation([1, 2, 3, 4], [10, 20, 30, 25]) == pytest.approx(0.8)
    assert rank_correlation([1, 1, 2, 2], [1, 1, 2, 2]) == pytest.approx(1.0)
    assert rank_correlation([1, 1, 1], [1, 2, 3]) == 0.0


def test_overlapping_hours_count_less() -> None:
    repeated = np.repeat(np.random.default_rng(2).normal(loc=0.2, size=50), 24)
    assert t_value(repeated.tolist(), 23) < 0.4 * t_value(repeated.tolist(), 0)
