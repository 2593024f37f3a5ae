"""What a fitted model leaves for the ledger: its test rows beyond the bar, which is persistence."""

from __future__ import annotations

import logging

import numpy as np

from atb.contract.runs import DEFAULT_FDR
from atb.contract.spec import Spec
from atb.documents.evidence import TestRows
from atb.documents.result import Result
from atb.errors import AtbError
from atb.registry.gate import Shown
from atb.registry.weigh import foresee
from atb.storage import Store
from trainer.bars.frame import Bars, Floats
from trainer.evaluate.evidence import make_test_rows, trailing_scale
from trainer.evaluate.rows import ForecastRows
from trainer.features.targets import target_values
from trainer.features.volatility import bar_variance, past_volatility
from trainer.features.windows import Split
from trainer.pipeline.judge import Judged

log = logging.getLogger(__name__)

PERSISTENCE = "persistence"
LINEAR = {"return": "linear", "volatility": "har"}
"""The linear baseline of each target."""


def describe_rows(spec: Spec, bars: Bars, split: Split, judged: Judged) -> TestRows:
    """The test rows of a judged model.

    How large an outcome was to be expected follows from train and validation rows and from test rows known by then;
    how large the forecasts are, from validation rows.
    """
    validation, test = judged.validation, judged.test
    outcomes = np.concatenate([_beyond(part, part.rows.actual) for part in (validation, test)])
    known = target_values(spec, bars, split.train)
    if spec.target == "volatility":
        known = known - past_volatility(bar_variance(bars), split.train, spec.horizon)
    scale = trailing_scale(outcomes, spec.horizon, float(np.mean(np.abs(known))))
    first = len(validation.rows.ends)
    return make_test_rows(
        time=bars.time[test.rows.ends],
        step_ms=bars.step_ms,
        horizon=spec.horizon,
        bar=PERSISTENCE,
        columns={
            "forecast": _beyond(test, test.predicted),
            "outcome": outcomes[first:],
            "scale": scale[first:],
            "linear": _beyond(test, test.baselines[LINEAR[spec.target]]),
        },
        spread=float(np.sqrt(np.mean(np.square(_beyond(validation, validation.predicted))))),
    )


def look_ahead(store: Store, result: Result, rows: TestRows) -> Shown:
    """What the candidate would show if it were the only one. A ledger that can't be read is said, and fails nothing:
    the model is trained by now."""
    try:
        return foresee(store, result, rows)
    except AtbError as problem:
        log.warning("what %s has shown can't be told: %s", result.job, problem)
        return Shown(0.0, 1 / DEFAULT_FDR, DEFAULT_FDR, 1, problem=str(problem))


def _beyond(part: ForecastRows, said: Floats) -> Floats:
    """Log-returns, or logs of volatility over that of the last bars."""
    rows = part.rows
    beyond: Floats = np.log(said / rows.last) if rows.variance is None else said - rows.persistence
    return beyond
