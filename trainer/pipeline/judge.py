"""Step 7 of a job: net, baselines and price bands, scored on rows that none was fitted on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from atb.contract.spec import Spec, band_levels
from atb.documents.evaluation import BandMetrics
from trainer.bars.frame import Bars, Floats, Times, segment_starts
from trainer.evaluate.backtest import trading_rules
from trainer.evaluate.bands import (
    conformal_quantiles,
    conformal_scores,
    ewma_volatility,
    gaussian_bands,
    historical_bands,
    make_bands,
    measure_bands,
)
from trainer.evaluate.baselines import return_baselines, volatility_baselines
from trainer.evaluate.evaluation import Judgement, judge_forecast, regimes
from trainer.evaluate.rows import ForecastRows, JudgedRows
from trainer.features.har import har_inputs
from trainer.features.sets import Features, FeatureSet, compute_features, feature_set
from trainer.features.targets import feature_returns, target_values
from trainer.features.training_data import TrainingData
from trainer.features.volatility import bar_variance, zero_ranges
from trainer.features.windows import Split, log_returns

if TYPE_CHECKING:
    from trainer.pipeline.learn import FittedModel  # which loads TensorFlow: what judges committed models needs none

COMPARED_BARS = 100
"""How many returns the EWMA of the bands beside the model's reads: its weights have fallen to 0.2 % there."""


@dataclass(frozen=True)
class Judged:
    """A judgement of the test rows, and the forecasts of them and of the validation rows. ``quantiles``: how many
    volatilities wide the band of each level is on either side."""

    judgement: Judgement
    validation: ForecastRows
    test: ForecastRows
    quantiles: tuple[float, ...]


def judge_model(spec: Spec, data: TrainingData, fitted_model: FittedModel) -> Judged:
    """Forecast validation and test rows, make the bands from the former, and judge all on the latter.

    Raises Diverged where a forecast is not a number.
    """
    split = fitted_model.split
    both = np.concatenate([split.validation, split.test])
    baselines = ask_baselines(spec, data.bars, data.features, data.flat, split.train, both)
    rows = judged_rows(spec, data.bars, split, both)
    answers = fitted_model.forecast(data, both)
    predicted = answers if spec.target == "volatility" else rows.last * np.exp(answers)
    test = np.arange(len(both)) >= len(split.validation)
    judgement = judge_forecast(
        rows.take(test),
        predicted[test],
        {name: forecast[test] for name, forecast in baselines.items()},
        trading_rules(spec),
    )
    centre, volatility = band_inputs(spec, data.features, data.flat, both, answers)
    scores = conformal_scores(rows.last, rows.closes, centre, volatility, spec.horizon)
    levels = band_levels(spec.bands)
    quantiles = conformal_quantiles(levels, scores[~test])
    bands = make_bands(levels, quantiles, rows.last, centre, volatility, spec.horizon)

    def part(chosen: Times) -> ForecastRows:
        own = {name: forecast[chosen] for name, forecast in baselines.items()}
        return ForecastRows(rows.take(chosen), predicted[chosen], own, bands.take(chosen))

    tested = part(np.flatnonzero(test))
    found: dict[str, object] = {"bands": _judge_bands(levels, tested, data.bars, split)}
    if spec.target == "volatility":
        found["zero_ranges"] = zero_ranges(data.bars, split.test, spec.horizon)
    evaluation = judgement.evaluation.model_copy(update=found)
    judgement = Judgement(judgement.metrics, judgement.baselines, evaluation, judgement.backtest, judgement.trading)
    return Judged(judgement, part(np.flatnonzero(~test)), tested, quantiles)


def judged_rows(spec: Spec, bars: Bars, split: Split, ends: Times) -> JudgedRows:
    """Rows to judge a model of this spec on, whose train rows are those of the split."""
    if spec.target == "return":
        return JudgedRows(bars.close, ends, spec.horizon, bars.step_ms)
    mean = float(target_values(spec, bars, split.train).mean())
    return JudgedRows(bars.close, ends, spec.horizon, bars.step_ms, bar_variance(bars), mean)


def ask_baselines(
    spec: Spec, bars: Bars, features: FeatureSet, flat: Features, train: Times, ends: Times
) -> dict[str, Floats]:
    """Every baseline of the spec's target, fitted on the windows that end at ``train`` and forecasting at ``ends``."""
    if spec.target == "return":
        return return_baselines(bars.close, flat, train, ends, spec.horizon, spec.sequence_length)
    known, table = features, flat
    if not features.reads_clock:
        known = feature_set("volatility")
        table = compute_features(known, bars)
    inputs = har_inputs(known.columns, table, np.arange(len(table)))
    return volatility_baselines(bar_variance(bars), flat, inputs, train, ends, spec.horizon)


def band_inputs(
    spec: Spec, features: FeatureSet, flat: Features, ends: Times, answers: Floats
) -> tuple[Floats, Floats]:
    """Where the bands of each end lie, as a log-return, and the volatility per bar that they are as wide as.

    A model of volatility gives the width and no location; one of the return gives the location, and EWMA over its
    window the width. ``answers``: the model's.
    """
    if spec.target == "volatility":
        return np.zeros(len(ends)), np.exp(answers)
    return answers, ewma_volatility(feature_returns(features, flat), ends, spec.sequence_length - 1)


def _judge_bands(
    levels: tuple[float, ...], tested: ForecastRows, bars: Bars, split: Split
) -> dict[str, dict[str, tuple[BandMetrics, ...]]]:
    rows = tested.rows
    returns = np.diff(np.log(bars.close), prepend=np.log(bars.close[:1]))
    returns[segment_starts(bars)] = 0.0
    volatility = ewma_volatility(returns, rows.ends, min(COMPARED_BARS, int(rows.ends[0])))
    everyone = {
        "model": tested.bands,
        "ewma": gaussian_bands(levels, rows.last, volatility, rows.horizon),
        "historical": historical_bands(levels, rows.last, log_returns(bars.close, split.train, rows.horizon)),
    }
    masks = {"all": np.ones(len(rows.ends), bool), **dict(regimes(rows))}
    return {
        who: {name: measure_bands(bands.take(mask), rows.closes[mask], rows.last[mask]) for name, mask in masks.items()}
        for who, bands in everyone.items()
    }
