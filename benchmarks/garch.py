"""Bands and skill on series of known volatility: GARCH(1,1), and constant volatility.

    python -m benchmarks.garch --seeds 5 --rows 20000

For each seed: the skill over persistence of HAR and of the best baseline beside that of the true conditional
volatility, the coverage of the 0.9 band made from HAR's forecasts, over all and in each third, and how often a
baseline shows skill over the train rows' mean where volatility is constant.
"""

from __future__ import annotations

import argparse
import math

import numpy as np
import numpy.typing as npt

from trainer.bars.frame import Bars, Floats
from trainer.evaluate.bands import conformal_quantiles, conformal_scores, make_bands, measure_bands
from trainer.evaluate.baselines import volatility_baselines
from trainer.evaluate.evaluation import regimes
from trainer.evaluate.metrics import skill, skill_low
from trainer.evaluate.rows import JudgedRows
from trainer.features.har import har_inputs
from trainer.features.sets import compute_features, feature_set
from trainer.features.volatility import bar_variance, past_volatility, realised_volatility
from trainer.features.windows import split_windows

HOUR = 3_600_000
STEPS = 60
"""Steps of the path within a bar, from which its range comes."""
OMEGA, ALPHA, BETA = 0.04, 0.08, 0.88
"""Of variances around 1; the persistence of 0.96 is near that of hourly markets."""
SCALE = 0.005
"""Volatility per bar where the variance is 1."""


def simulate(rows: int, seed: int, alpha: float = ALPHA, beta: float = BETA) -> tuple[Bars, Floats]:
    """Hourly bars of a GARCH(1,1) (Bollerslev 1986), and the volatility per bar that each was drawn with.

    With ``alpha`` and ``beta`` 0 the volatility is constant.
    """
    source = np.random.default_rng(seed)
    omega = OMEGA if alpha else 1.0
    variance, volatility, closes = 1.0, np.empty(rows), 0.0
    values = np.empty((rows, 5))
    for row in range(rows):
        path = np.cumsum(source.normal(size=STEPS)) * math.sqrt(variance / STEPS)
        volatility[row] = SCALE * math.sqrt(variance)
        ends = (0.0, max(0.0, path.max()), min(0.0, path.min()), path[-1])
        values[row, :4] = closes + SCALE * np.array(ends)
        closes = values[row, 3]
        variance = omega + alpha * path[-1] ** 2 + beta * variance
    values[:, :4] = 100 * np.exp(values[:, :4])
    values[:, 4] = source.lognormal(5, 1, rows)
    return Bars("GARCH", "1h", 500_000 * HOUR + HOUR * np.arange(rows), values, synthetic=True), volatility


def measure(rows: int, seed: int) -> dict[str, float]:
    """Skill and coverage on the last 15 % of one series, one bar ahead; HAR is fitted on the first 70 %."""
    bars, volatility = simulate(rows, seed)
    features = feature_set("volatility")
    flat = compute_features(features, bars)
    split = split_windows(flat, np.zeros(1, np.int64), features.warmup, 16, 1)
    variance = bar_variance(bars)
    inputs = har_inputs(features.columns, flat, np.arange(rows))
    both = np.concatenate([split.validation, split.test])
    forecasts = volatility_baselines(variance, flat, inputs, split.train, both, 1)
    known = np.log(volatility) + float(
        np.mean(realised_volatility(variance, split.train, 1) - np.log(volatility[split.train + 1]))
    )
    tested = slice(len(split.validation), None)
    actual, before = realised_volatility(variance, split.test, 1), past_volatility(variance, split.test, 1)
    rows_of = JudgedRows(bars.close, both, 1, HOUR, variance)
    centre = np.zeros(len(both))
    scores = conformal_scores(rows_of.last, rows_of.closes, centre, np.exp(forecasts["har"]), 1)
    quantiles = conformal_quantiles((0.9,), scores[: len(split.validation)])
    bands = make_bands((0.9,), quantiles, rows_of.last, centre, np.exp(forecasts["har"]), 1)
    judged = rows_of.take(np.arange(len(both))[tested])

    def coverage(mask: npt.NDArray[np.bool_] | slice) -> float:
        chosen = np.arange(len(both))[tested][mask]
        return measure_bands(bands.take(chosen), rows_of.closes[chosen], rows_of.last[chosen])[0].coverage

    return {
        "true": skill(actual, known[split.test + 1], before),
        **{name: skill(actual, forecasts[name][tested], before) for name in ("har", "trees")},
        "0.9 band": coverage(slice(None)),
        **{name: coverage(mask) for name, mask in regimes(judged)},
    }


def shows_skill(rows: int, seed: int) -> list[str]:
    """Which baselines show skill over the train rows' mean where volatility is constant."""
    bars, _ = simulate(rows, seed, 0.0, 0.0)
    features = feature_set("volatility")
    flat = compute_features(features, bars)
    split = split_windows(flat, np.zeros(1, np.int64), features.warmup, 16, 1)
    variance = bar_variance(bars)
    inputs = har_inputs(features.columns, flat, np.arange(rows))
    forecasts = volatility_baselines(variance, flat, inputs, split.train, split.test, 1)
    actual = realised_volatility(variance, split.test, 1)
    mean = np.full(len(actual), float(realised_volatility(variance, split.train, 1).mean()))
    return [name for name, forecast in forecasts.items() if skill_low(actual, forecast, mean) > 0]


def main() -> None:
    """Print a line for each seed, and the mean."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=20_000)
    options = parser.parse_args()
    found = [measure(options.rows, seed) for seed in range(options.seeds)]
    print("| seed |", " | ".join(found[0]), "|")
    print("|---:|" + "---:|" * len(found[0]))
    for seed, each in enumerate(found):
        print(f"| {seed} |", " | ".join(f"{value:.3f}" for value in each.values()), "|")
    print("| mean |", " | ".join(f"{np.mean([each[name] for each in found]):.3f}" for name in found[0]), "|")
    shown = [shows_skill(2_000, seed) for seed in range(20)]
    print(f"\nconstant volatility, 20 seeds: a baseline shows skill over the mean in {sum(map(bool, shown))}")


if __name__ == "__main__":
    main()
