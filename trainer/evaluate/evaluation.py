"""All numbers about one model's forecasts of the test rows, with the baselines beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from atb.documents.evaluation import BacktestSummary, Evaluation, ForecastComparison
from trainer.evaluate.backtest import DEFAULT_RULES, Backtest, TradingRules, curve, hold, run_backtest, summarise
from trainer.evaluate.metrics import Floats, skill, skill_low
from trainer.evaluate.rows import JudgedRows

REGIME_BARS = 24
"""The volatility at a row is the spread of this many log-returns up to it."""
REGIMES = ("calm", "usual", "wild")


@dataclass(frozen=True)
class Trading:
    """Trading on the forecasts, and buy and hold over the same bars."""

    model: Backtest
    hold: Backtest


@dataclass(frozen=True)
class Judgement:
    """What goes into a result, and the two equity curves for its plot; none of volatility."""

    metrics: dict[str, float]
    baselines: dict[str, dict[str, float]]
    evaluation: Evaluation
    backtest: BacktestSummary
    trading: Trading | None


def judge_forecast(
    rows: JudgedRows, predicted: Floats, baselines: Mapping[str, Floats], rules: TradingRules = DEFAULT_RULES
) -> Judgement:
    """Judge a forecast float64[len(rows.ends)] beside those of the baselines, of which the best comes first.

    Raises Diverged where a forecast is not a number.
    """
    measured = {name: rows.measure(forecast) for name, forecast in baselines.items()}
    measured = dict(sorted(measured.items(), key=lambda each: each[1]["rmse"]))
    over = {name: dict(skill_over(rows, predicted, baselines[name])) for name in measured}
    best = next(iter(over.values()))
    metrics = rows.measure(predicted) | {"skill_over_best": best["skill"], "skill_over_best_low": best["skill_low"]}
    evaluation = Evaluation(
        rows=len(rows.ends), spread=spread(rows, predicted), regimes=dict(regime_metrics(rows, predicted)), over=over
    )
    if rows.variance is not None:  # says nothing of the direction, so that there is nothing to trade on
        return Judgement(metrics, measured, evaluation, BacktestSummary(), None)
    trading = Trading(trade(rows, predicted, rules), hold(rows.close, rows.ends, rows.horizon, rules))
    backtest = BacktestSummary(
        rules=rules.terms,
        model=dict(summarise(trading.model, rows.bar_ms)),
        hold=dict(summarise(trading.hold, rows.bar_ms)),
        curves={"model": tuple(curve(trading.model)), "hold": tuple(curve(trading.hold))},
    )
    return Judgement(metrics, measured, evaluation, backtest, trading)


def compare_forecasts(
    rows: JudgedRows, candidate: Floats, champion: Floats, rules: TradingRules = DEFAULT_RULES
) -> ForecastComparison:
    """Metrics and trading of both on the same rows. Raises Diverged where a forecast is not a number."""

    def measure(predicted: Floats) -> tuple[dict[str, float], dict[str, float]]:
        trading = {} if rows.variance is not None else dict(summarise(trade(rows, predicted, rules), rows.bar_ms))
        return rows.measure(predicted), trading

    (own, own_trading), (other, other_trading) = measure(candidate), measure(champion)
    return ForecastComparison(
        rows=len(rows.ends),
        candidate=own,
        candidate_trading=own_trading,
        champion=other,
        champion_trading=other_trading,
    )


def skill_over(rows: JudgedRows, predicted: Floats, other: Floats) -> Iterator[tuple[str, float]]:
    """Yield the skill over another forecast of the same rows, and its lower bound."""
    yield "skill", skill(rows.actual, predicted, other)
    yield "skill_low", skill_low(rows.actual, predicted, other, rows.horizon)


def trade(rows: JudgedRows, predicted: Floats, rules: TradingRules) -> Backtest:
    """Trade forecast prices by the rules."""
    return run_backtest(rows.close, rows.ends, predicted / rows.last - 1, rows.horizon, rules)


def spread(rows: JudgedRows, predicted: Floats) -> float:
    """The standard deviation of the forecast log-returns, or log volatilities, as a share of that of the actual ones: 0
    for a constant forecast."""
    if rows.variance is None:
        forecast, actual = np.log(predicted / rows.last), np.log(rows.actual / rows.last)
    else:
        forecast, actual = predicted, rows.actual
    actual_spread = float(np.std(actual))
    return float(np.std(forecast)) / actual_spread if actual_spread > 0 else 0.0


def regime_metrics(rows: JudgedRows, predicted: Floats) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield (regime, metrics) for each third of the test rows by the volatility before them."""
    for name, mask in regimes(rows):
        found = rows.take(mask).measure(predicted[mask])
        yield name, {"rows": float(mask.sum()), **_without_proof(found)}


def regimes(rows: JudgedRows) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yield the name and the rows of the calm, usual and wild third by the volatility before them, where it has any."""
    volatility = trailing_volatility(rows.close)[rows.ends]
    low, high = np.quantile(volatility, [1 / 3, 2 / 3])
    masks = (volatility <= low, (volatility > low) & (volatility <= high), volatility > high)
    yield from ((name, mask) for name, mask in zip(REGIMES, masks, strict=True) if mask.any())


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
