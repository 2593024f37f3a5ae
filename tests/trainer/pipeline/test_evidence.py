from __future__ import annotations

import numpy as np
import pytest

from atb.contract.spec import resolve_spec
from tests.trainer.pipeline.market import walk_close
from trainer.evaluate.bands import Bands
from trainer.evaluate.rows import ForecastRows, JudgedRows
from trainer.pipeline.evidence import choose_bar, measure_spread


def rows(target: str) -> ForecastRows:
    close = walk_close(0)
    variance = np.square(np.diff(np.log(close), prepend=np.log(close[0]))) + 1e-6
    judged = JudgedRows(close, np.arange(100, 800), 1, 3_600_000, variance if target == "volatility" else None)
    actual = judged.actual
    baselines = {"har": actual + 0.1, "ewma": actual + 0.2, "linear": actual}
    nothing = np.zeros((len(actual), 0))
    return ForecastRows(judged, actual, baselines, Bands((), nothing, nothing))


@pytest.mark.parametrize(("target", "bar"), [("return", "persistence"), ("volatility", "linear")])
def test_the_bar_is_persistence_for_returns_and_the_best_on_validation_rows_for_volatility(
    target: str, bar: str
) -> None:
    spec = resolve_spec("BTCUSDT", "fast", {"target": target})
    assert choose_bar(spec, rows(target)) == bar


def test_forecasts_that_differ_from_the_bar_by_rounding_alone_are_nothing_to_bet_on() -> None:
    outcome = np.random.default_rng(0).normal(size=500)
    assert measure_spread(np.spacing(outcome), outcome) == 0.0
    assert measure_spread(np.zeros(500), np.zeros(500)) == 0.0
    assert measure_spread(np.full(500, 0.01), outcome) == pytest.approx(0.01)
