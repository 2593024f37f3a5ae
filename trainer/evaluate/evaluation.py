"""Everything that is said about one model's forecasts of the test rows, with the baselines beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from atb.documents.evaluation import BacktestSummary, Evaluation, ForecastComparison
from trainer.evaluate.backtest import DEFAULT_RULES, Backtest, Rows, TradingRules, curve, hold, run_backtest, summarise
from trainer.evaluate.baselines import baseline_metrics
from trainer.evaluate.metrics import Floats, price_metrics

REGIME_BARS = 24
"""The volatility at a row is the spread of this many log-returns up to it."""
REGIMES = ("calm", "usual", "wild")


@dataclass(frozen=True)
class JudgedRows:
    """The rows that models are judged on. ``close``: float64[n] of all bars; ``ends``: the test windows' last rows."""

    close: Floats
    ends: Rows
    horizon: int
    bar_ms: int

    @property
    def last(self) -> Floats:
        """The close at each window's end."""
        closes: Floats = self.close[self.ends]
        return closes

    @property
    def actual(self) -> Floats:
        """The close ``horizon`` bars later."""
        closes: Floats = self.close[self.ends + self.horizon]
        return closes


@dataclass(frozen=True)
class Judgement:
    """What goes into a result, and the two equity curves for its plot."""

    metrics: dict[str, float]
    baselines: dict[str, dict[str, float]]
    evaluation: Evaluation
    backtest: BacktestSummary
    model_trading: Backtest
    hold_trading: Backtest


def judge_forecast(
    rows: JudgedRows,
    predicted: Floats,
    train_ends: Rows,
    sequence_length: int,
    rules: TradingRules = DEFAULT_RULES,
) -> Judgement:
    """Judge the forecast prices ``predicted``, float64[len(rows.ends)]. Raises Diverged where one is not a price."""
    metrics = dict(price_metrics(rows.actual, predicted, rows.last, rows.horizon))
    evaluation = Evaluation(
        rows=len(rows.ends), spread=spread(rows, predicted), regimes=dict(regime_metrics(rows, predicted))
    )
    model, held = trade(rows, predicted, rules), hold(rows.close, rows.ends, rows.horizon, rules)
    backtest = BacktestSummary(
        rules=rules.terms,
        model=dict(summarise(model, rows.bar_ms)),
        hold=dict(summarise(held, rows.bar_ms)),
        curves={"model": tuple(curve(model)), "hold": tuple(curve(held))},
    )
    baselines = baseline_metrics(rows.close, train_ends, rows.ends, rows.horizon, sequence_length)
    return Judgement(metrics, baselines, evaluation, backtest, model, held)


def compare_forecasts(
    rows: JudgedRows, candidate: Floats, champion: Floats, rules: TradingRules = DEFAULT_RULES
) -> ForecastComparison:
    """Metrics and trading of both on the same rows. Raises Diverged where a forecast is not a price."""

    def measure(predicted: Floats) -> tuple[dict[str, float], dict[str, float]]:
        metrics = dict(price_metrics(rows.actual, predicted, rows.last, rows.horizon))
        return metrics, dict(summarise(trade(rows, predicted, rules), rows.bar_ms))

    (own, own_trading), (other, other_trading) = measure(candidate), measure(champion)
    return ForecastComparison(
        rows=len(rows.ends),
        candidate=own,
        candidate_trading=own_trading,
        champion=other,
        champion_trading=other_trading,
    )


def trade(rows: JudgedRows, predicted: Floats, rules: TradingRules) -> Backtest:
    """Trade forecast prices by the rules."""
    return run_backtest(rows.close, rows.ends, predicted / rows.last - 1, rows.horizon, rules)


def spread(rows: JudgedRows, predicted: Floats) -> float:
    """The forecast returns' standard deviation as a share of the actual returns': 0 for a model that says one thing."""
    actual = float(np.std(np.log(rows.actual / rows.last)))
    return float(np.std(np.log(predicted / rows.last))) / actual if actual > 0 else 0.0


def regime_metrics(rows: JudgedRows, predicted: Floats) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield (regime, metrics) for the calm, usual and wild third of the test rows by the volatility before them."""
    volatility = trailing_volatility(rows.close)[rows.ends]
    low, high = np.quantile(volatility, [1 / 3, 2 / 3])
    masks = (volatility <= low, (volatility > low) & (volatility <= high), volatility > high)
    for name, mask in zip(REGIMES, masks, strict=True):
        if not mask.any():
            continue
        found = dict(price_metrics(rows.actual[mask], predicted[mask], rows.last[mask], rows.horizon))
        yield name, {"rows": float(mask.sum()), **_without_proof(found)}


def trailing_volatility(close: Floats, bars: int = REGIME_BARS) -> Floats:
    """The standard deviation of the last ``bars`` log-returns at each row, over what there is where there are fewer."""
    returns = np.diff(np.log(close), prepend=np.log(close[:1]))
    count = np.minimum(np.arange(1, len(returns) + 1), bars)
    mean = _trailing_sum(returns, bars) / count
    square = _trailing_sum(np.square(returns), bars) / count
    volatility: Floats = np.sqrt(np.maximum(square - np.square(mean), 0.0))
    return volatility


def _trailing_sum(values: Floats, bars: int) -> Floats:
    total = np.concatenate([[0.0], np.cumsum(values)])
    stops = np.arange(1, len(values) + 1)
    sums: Floats = total[stops] - total[np.maximum(stops - bars, 0)]
    return sums


def _without_proof(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if name != "skill_low"}
