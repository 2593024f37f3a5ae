"""What a fitted model leaves for the ledger: its test rows beyond the bar, which is persistence for returns."""

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
from trainer.bars.frame import Floats, Times
from trainer.evaluate.baselines import fit_linear, forecast_linear
from trainer.evaluate.evaluation import JudgedRows
from trainer.evaluate.evidence import make_test_rows, trailing_scale
from trainer.features.windows import log_returns
from trainer.pipeline.learn import FittedModel, TrainingData

log = logging.getLogger(__name__)

PERSISTENCE = "persistence"


def describe_rows(
    spec: Spec, material: TrainingData, learned: FittedModel, rows: JudgedRows, predicted: Floats
) -> TestRows:
    """The test rows of a model that forecasts the price ``predicted``, float64[len(rows.ends)], for them.

    How large an outcome was to be expected follows from train and validation rows and from test rows known by then;
    how large the forecasts are, from validation rows.
    """
    close, split, horizon = rows.close, learned.split, spec.horizon

    def beyond(price: Floats, ends: Times) -> Floats:
        returns: Floats = np.log(price / close[ends])
        return returns

    outcomes = log_returns(close, np.concatenate([split.validation, rows.ends]), horizon)
    start = float(np.mean(np.abs(log_returns(close, split.train, horizon))))
    linear = forecast_linear(fit_linear(close, split.train, horizon, spec.sequence_length), close, rows.ends)
    validation = beyond(learned.forecast(close, split.validation), split.validation)
    return make_test_rows(
        time=material.bars.time[rows.ends],
        step_ms=material.bars.step_ms,
        horizon=horizon,
        bar=PERSISTENCE,
        columns={
            "forecast": beyond(predicted, rows.ends),
            "outcome": outcomes[len(split.validation) :],
            "scale": trailing_scale(outcomes, horizon, start)[len(split.validation) :],
            "linear": beyond(linear, rows.ends),
        },
        spread=float(np.sqrt(np.mean(np.square(validation)))),
    )


def look_ahead(store: Store, result: Result, rows: TestRows) -> Shown:
    """What the candidate would show if it were the only one. A ledger that can't be read is said, and fails nothing:
    the model is trained by now."""
    try:
        return foresee(store, result, rows)
    except AtbError as problem:
        log.warning("what %s has shown can't be told: %s", result.job, problem)
        return Shown(0.0, 1 / DEFAULT_FDR, DEFAULT_FDR, 1, problem=str(problem))
