"""What a fitted model leaves for the ledger: its test rows beyond the bar."""

from __future__ import annotations

import numpy as np

from atb.contract.spec import Spec
from atb.documents.evidence import TestRows
from trainer.bars.frame import Bars, Floats
from trainer.evaluate.evidence import make_test_rows, trailing_scale
from trainer.evaluate.rows import ForecastRows
from trainer.pipeline.judge import Judged

PERSISTENCE = "persistence"
LINEAR = {"return": "linear", "volatility": "har"}
"""The linear baseline of each target."""

_ROUNDING = 1e-6
"""A share of the outcomes' size."""


def describe_rows(spec: Spec, bars: Bars, judged: Judged) -> TestRows:
    """The test rows of a judged model.

    Everything that the bets need to know before a row follows from validation rows and from test rows known by then:
    which baseline is the bar, how large an outcome beyond it was to be expected, and how large the forecasts are.
    """
    validation, test = judged.validation, judged.test
    bar = choose_bar(spec, validation)
    outcomes = [_beyond(part, bar, part.rows.actual) for part in (validation, test)]
    scale = trailing_scale(np.concatenate(outcomes), spec.horizon, float(np.mean(np.abs(outcomes[0]))))
    return make_test_rows(
        time=bars.time[test.rows.ends],
        step_ms=bars.step_ms,
        horizon=spec.horizon,
        bar=bar,
        columns={
            "forecast": _beyond(test, bar, test.predicted),
            "outcome": outcomes[1],
            "scale": scale[len(outcomes[0]) :],
            "linear": _beyond(test, bar, test.baselines[LINEAR[spec.target]]),
        },
        spread=measure_spread(_beyond(validation, bar, validation.predicted), outcomes[0]),
    )


def measure_spread(forecast: Floats, outcome: Floats) -> float:
    """The root mean square of forecasts beyond the bar; 0 where they are no more than rounding, as of a net of which
    nothing is added to HAR where HAR is the bar: such a model has nothing to bet on."""
    spread = float(np.sqrt(np.mean(np.square(forecast))))
    return spread if spread > _ROUNDING * float(np.mean(np.abs(outcome))) else 0.0


def choose_bar(spec: Spec, validation: ForecastRows) -> str:
    """Persistence for returns; for volatility the baseline that was best on validation rows: chosen on test rows, it
    would know their outcomes."""
    if spec.target == "return":
        return PERSISTENCE
    actual = validation.rows.actual
    forecasts = {PERSISTENCE: validation.rows.persistence, **validation.baselines}
    return min(forecasts, key=lambda name: float(np.mean(np.square(forecasts[name] - actual))))


def _beyond(part: ForecastRows, bar: str, values: Floats) -> Floats:
    """How far a forecast or an outcome lies beyond the bar: log-returns, or differences of log volatility."""
    expected = part.rows.persistence if bar == PERSISTENCE else part.baselines[bar]
    beyond: Floats = np.log(values / expected) if part.rows.variance is None else values - expected
    return beyond
