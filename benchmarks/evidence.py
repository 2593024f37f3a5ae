"""What the gate lets through over nights, on made-up markets where the truth is known: the figures of docs/models.md.

    python -m benchmarks.evidence

Symbols are retrained every night on windows that move by a day, by least squares instead of a net, and judged by the
product's own bets and bounds, beside the rule of one training at a time. It takes minutes on one core; --quick is a
tenth of the symbols.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from atb.registry.betting import (
    BEHIND_BOUND,
    RECORD_ROWS,
    Bet,
    Wealth,
    e_bh_bound,
    log_behind,
    log_e_value,
    place_bets,
    start_wealth,
)
from trainer.evaluate.evidence import trailing_scale

Floats = NDArray[np.float64]

WINDOW, TRAIN, VALIDATION = 4_320, 3_024, 648
"""180 days of hours, split 70/15/15."""
NIGHT = 24
INPUTS = 8
FDR = 0.05
PROOF_Z = 3.0
PLANTED = 0.205
"""First-order autocorrelation at which least squares on 8 lags has a skill of 2 %: (1 − 0.205²)(1 + 8/3024) = 0.98²."""


@dataclass(frozen=True)
class Market:
    """Symbols whose truth is known. ``inputs`` ``[symbols, rows, INPUTS]`` are known at a row, ``outcome`` is not;
    ``bar_inputs`` are what a fitted baseline sees, None where the bar is zero. ``informed`` says which symbols can be
    forecast."""

    inputs: Floats
    outcome: Floats
    informed: NDArray[np.bool_]
    horizon: int = 1
    bar_inputs: Floats | None = None


@dataclass
class Tally:
    """Promotions over all nights: of noise, by either rule, and the night on which each informed symbol passed."""

    false: int = 0
    false_symbols: int = 0
    false_before: int = 0
    false_symbols_before: int = 0
    found: tuple[int, ...] = ()
    found_before: tuple[int, ...] = ()
    skill: float = 0.0


def simulate(market: Market, nights: int) -> Tally:
    """Train, bet and decide every night."""
    symbols = len(market.outcome)
    wealths = [start_wealth(market.horizon) for _ in range(symbols)]
    passed, before = np.zeros((nights, symbols), bool), np.zeros((nights, symbols), bool)
    skills = np.zeros((nights, symbols))
    models = train(market, nights)
    for night, (forecast, outcome) in enumerate(models):
        test = slice(VALIDATION, None)
        spread = np.sqrt(np.mean(np.square(forecast[:, :VALIDATION]), axis=1))
        scale = trailing_scale(outcome, market.horizon, np.mean(np.abs(outcome[:, :VALIDATION]), axis=1))
        first = VALIDATION if night == 0 else outcome.shape[1] - NIGHT
        steps = np.arange(outcome.shape[1]) + night * NIGHT
        for symbol in range(symbols):
            wealths[symbol] = bet(
                wealths[symbol],
                steps[first:],
                forecast[symbol, first:] / spread[symbol],
                (outcome[symbol] / scale[symbol])[first:],
                market.horizon,
            )
        logs = [log_e_value(wealth) for wealth in wealths]
        bound = math.log(e_bh_bound(logs, FDR))
        skills[night] = skill(outcome[:, test], forecast[:, test])
        passed[night] = (np.array(logs) >= bound) & (skills[night] >= 0)
        before[night] = skill_low(outcome[:, test], forecast[:, test], market.horizon) > 0
    return tally(market.informed, passed, before, skills)


def tally(informed: NDArray[np.bool_], passed: NDArray[np.bool_], before: NDArray[np.bool_], skills: Floats) -> Tally:
    """Count what passed."""
    noise = ~informed
    return Tally(
        false=int(passed[:, noise].sum()),
        false_symbols=int(passed[:, noise].any(axis=0).sum()),
        false_before=int(before[:, noise].sum()),
        false_symbols_before=int(before[:, noise].any(axis=0).sum()),
        found=first_nights(passed[:, informed]),
        found_before=first_nights(before[:, informed]),
        skill=float(skills[:, informed].mean()) if informed.any() else 0.0,
    )


def first_nights(passed: NDArray[np.bool_]) -> tuple[int, ...]:
    """The night, from 1, on which each symbol first passed; those that never did are left out."""
    return tuple(int(np.argmax(column)) + 1 for column in passed.T if column.any())


def bet(wealth: Wealth, steps: NDArray[np.int64], forecast: Floats, outcome: Floats, horizon: int) -> Wealth:
    """One symbol's new rows."""
    rows = zip(steps.tolist(), forecast.tolist(), outcome.tolist(), strict=True)
    return place_bets(wealth, (Bet(*row) for row in rows), horizon)


def train(market: Market, nights: int) -> Iterator[tuple[Floats, Floats]]:
    """Each night's forecasts and outcomes beyond the bar on its validation and test rows, ``[symbols, rows]``."""
    for night in range(nights):
        start = night * NIGHT
        train_rows = slice(start, start + TRAIN - market.horizon)
        later = slice(start + TRAIN, start + WINDOW - market.horizon + 1)
        known, outcome = market.outcome[:, train_rows], market.outcome[:, later]
        if market.bar_inputs is not None:
            weights = least_squares(market.bar_inputs[:, train_rows], known)
            known = known - apply(market.bar_inputs[:, train_rows], weights)
            outcome = outcome - apply(market.bar_inputs[:, later], weights)
        weights = least_squares(market.inputs[:, train_rows], known)
        yield apply(market.inputs[:, later], weights), outcome


def least_squares(inputs: Floats, outcome: Floats) -> Floats:
    """Weights ``[symbols, inputs]``."""
    gram = np.matmul(inputs.transpose(0, 2, 1), inputs)
    moment = np.matmul(inputs.transpose(0, 2, 1), outcome[:, :, None])
    weights: Floats = np.linalg.solve(gram, moment)[:, :, 0]
    return weights


def apply(inputs: Floats, weights: Floats) -> Floats:
    """Forecasts ``[symbols, rows]``."""
    forecast: Floats = np.matmul(inputs, weights[:, :, None])[:, :, 0]
    return forecast


def skill(outcome: Floats, forecast: Floats) -> Floats:
    """1 − RMSE / RMSE of the bar, by symbol."""
    found: Floats = 1 - np.sqrt(np.mean(np.square(outcome - forecast), axis=1) / np.mean(np.square(outcome), axis=1))
    return found


def skill_low(outcome: Floats, forecast: Floats, horizon: int) -> Floats:
    """The rule of one training at a time: ``trainer.evaluate.metrics.skill_low`` for many symbols at once."""
    gain = np.square(outcome) - np.square(outcome - forecast)
    gain /= np.mean(np.square(outcome), axis=1, keepdims=True)
    rows = gain.shape[1]
    mean = gain.mean(axis=1, keepdims=True)
    centred = gain - mean
    variance = np.mean(np.square(centred), axis=1)
    lags = max(horizon - 1, int(4 * (rows / 100) ** (2 / 9)))
    for lag in range(1, lags + 1):
        variance += 2 * (1 - lag / (lags + 1)) * np.sum(centred[:, lag:] * centred[:, :-lag], axis=1) / rows
    low: Floats = mean[:, 0] - PROOF_Z * np.sqrt(np.maximum(variance, 0) / rows)
    return low


def normal(rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """Gaussian steps."""
    return rng.normal(size=shape)


def student(rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """Student t with three degrees of freedom: a variance, and no kurtosis."""
    return rng.standard_t(3, size=shape)


def garch(rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """GARCH(1,1), α 0.1 and β 0.88."""
    steps, variance = np.empty(shape), np.ones(shape[0])
    for row in range(shape[1]):
        steps[:, row] = rng.normal(size=shape[0]) * np.sqrt(variance)
        variance = 0.02 + 0.1 * np.square(steps[:, row]) + 0.88 * variance
    return steps


Draw = Callable[[np.random.Generator, tuple[int, int]], Floats]


def make_returns(draw: Draw, seed: int, symbols: int, informed: int, nights: int) -> Market:
    """Returns, the first ``informed`` symbols autocorrelated by PLANTED; inputs are the last INPUTS returns."""
    rows = WINDOW + nights * NIGHT + INPUTS + 1
    returns = draw(np.random.default_rng(seed), (symbols, rows))
    for row in range(1, rows):
        returns[:informed, row] += PLANTED * returns[:informed, row - 1]
    lags = np.lib.stride_tricks.sliding_window_view(returns[:, :-1], INPUTS, axis=1)
    return Market(np.ascontiguousarray(lags), returns[:, INPUTS:], np.arange(symbols) < informed)


def make_volatility(seed: int, symbols: int, nights: int, horizon: int = 24) -> Market:
    """Log-volatility of the next ``horizon`` bars; the bar is fitted to its past over 1, 4, 24 and 168 bars, which is
    all there is to know, and the nets see nothing else that matters: six of their inputs are noise."""
    rng = np.random.default_rng(seed)
    past = 168
    rows = WINDOW + nights * NIGHT + past + horizon + 1
    level = np.zeros((symbols, rows))
    for keep, spread in ((0.7, 0.3), (0.97, 0.1), (0.997, 0.05)):
        part = np.zeros(symbols)
        for row in range(rows):
            part = keep * part + spread * rng.normal(size=symbols)
            level[:, row] += part
    logs = level + 0.5 * rng.normal(size=level.shape)  # what one bar's range says of it
    sums = np.concatenate([np.zeros((symbols, 1)), np.cumsum(logs, axis=1)], axis=1)
    ends = np.arange(past, rows - horizon)
    means = [(sums[:, ends + 1] - sums[:, ends + 1 - bars]) / bars for bars in (1, 4, 24, 168)]
    outcome = (sums[:, ends + 1 + horizon] - sums[:, ends + 1]) / horizon
    bar_inputs = np.stack([np.ones_like(outcome), *means], axis=2)
    inputs = np.stack([rng.normal(size=outcome.shape) for _ in range(INPUTS)], axis=2)
    keep = 0.99  # as slow as what nets see
    for row in range(1, inputs.shape[1]):
        inputs[:, row] = keep * inputs[:, row - 1] + math.sqrt(1 - keep**2) * inputs[:, row]
    return Market(inputs, outcome, np.zeros(symbols, bool), horizon, bar_inputs)


def demotions(draw: Draw, seed: int, champions: int, good: int, bad: int) -> list[int]:
    """The nights, from 1, on which champions were demoted: their skill is 2 % for ``good`` nights and −2 % for ``bad``.

    Their forecasts have 4 % of the outcome's variance throughout. While they are good the outcome follows them.
    """
    rng = np.random.default_rng(seed)
    shape = champions, VALIDATION + (good + bad) * NIGHT
    noise = draw(rng, shape)
    deviation = math.sqrt(3) if draw is student else 1.0
    forecast = 0.2 * deviation * rng.normal(size=shape)
    follows = np.arange(shape[1]) < VALIDATION + good * NIGHT
    outcome = math.sqrt(0.96) * noise + np.where(follows, forecast, 0.0)
    scale = trailing_scale(outcome, 1, np.mean(np.abs(outcome[:, :VALIDATION]), axis=1))
    logs = np.vectorize(log_behind)((forecast / scale)[:, VALIDATION:], (outcome / scale)[:, VALIDATION:])
    sums = np.concatenate([np.zeros((champions, 1)), np.cumsum(logs, axis=1)], axis=1)
    ends = np.arange(NIGHT, logs.shape[1] + 1, NIGHT)
    windows = sums[:, ends] - sums[:, np.maximum(0, ends - RECORD_ROWS)]
    return list(first_nights(np.greater_equal(windows.T, math.log(BEHIND_BOUND))))


def report(symbols: int, nights: int) -> Iterator[str]:
    """Every figure, a line each. ``symbols``: 500 for the published ones."""
    planted = symbols // 25
    yield f"{symbols} symbols, e-BH at {FDR:g}; alone: each training by itself, skill less {PROOF_Z:g} errors above 0"
    noise: dict[str, Callable[[], Market]] = {
        "random walk": lambda: make_returns(normal, 1, symbols, 0, nights),
        "Student t, 3 degrees": lambda: make_returns(student, 2, symbols, 0, nights),
        "GARCH(1,1)": lambda: make_returns(garch, 3, symbols, 0, nights),
        "volatility, horizon 24": lambda: make_volatility(4, symbols, nights),
    }
    for name, make in noise.items():
        found = simulate(make(), nights)
        yield (
            f"noise, {name}: {nights} nights, false promotions {found.false} by {found.false_symbols} symbols; "
            f"alone {found.false_before} by {found.false_symbols_before}"
        )
    for name, draw, seed in (("random walk", normal, 5), ("Student t, 3 degrees", student, 6)):
        found = simulate(make_returns(draw, seed, symbols, planted, 10), 10)
        yield (
            f"planted, {name}: {len(found.found)} of {planted} with skill {found.skill:+.4f} passed within 10 nights, "
            f"false {found.false}; alone {len(found.found_before)}, false {found.false_before}"
        )
    for name, draw in (("normal", normal), ("Student t, 3 degrees", student)):
        champions = max(10, symbols // 5)
        wrong = demotions(draw, 7, champions, 365, 0)
        yield f"demotion, {name}: {len(wrong)} of {champions} that stay good demoted within a year"
        for good in (0, 60):
            broken = sum(night > good for night in demotions(draw, 8, champions, good, 30))
            yield f"demotion, {name}: {broken} of {champions} within 30 nights, broken after {good} good ones"


def main() -> None:
    """Print the figures and how long they took."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the symbols, half of the nights")
    quick = parser.parse_args().quick
    began = time.monotonic()
    for line in report(50 if quick else 500, 30 if quick else 60):
        print(line, flush=True)
    print(f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
