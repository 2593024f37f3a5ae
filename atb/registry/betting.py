"""Testing by betting: how strong the evidence is that forecasts know something beyond the bar.

A gambler starts with one unit and bets, row by row, that the outcome beyond the bar has the sign of the forecast. Where
the forecasts know nothing, every bet is fair, so the wealth has an expectation of at most one at any time one stops:
it is an *e-value*, and reaches 1/a with probability at most a, ever (Ville 1939; Shafer 2021, "Testing by betting").
Evidence over rows multiplies, so nothing is lost by looking every night.

Three choices make it hold for prices (Waudby-Smith and Ramdas 2023, "Estimating means of bounded random variables by
betting"):

- An outcome counts at most ``OUTCOME_CAP`` of its scale, which is known before the row: one wild bar moves the wealth
  by a bounded factor, and no stake risks more than 90 % of it.
- The stake follows the forecast, in units of the forecasts' spread. How much to stake depends on a skill that nobody
  knows, so the unit is split over ``STAKES`` and the wealth is the mean.
- Targets ``horizon`` bars ahead overlap. Rows ``horizon`` bars apart do not: they form classes, each bets by itself,
  and the mean over classes is an e-value whatever their dependence (Vovk and Wang 2021, "E-values: calibration,
  combination and applications").
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

STAKES = (0.05, 0.1, 0.2, 0.4)
"""What is staked on a forecast of one spread, as a share of the wealth for each unit of the outcome's scale."""
STAKE_CAP = 0.3
OUTCOME_CAP = 3.0
MOST_CLASSES = 24
"""With a longer horizon only this many classes bet, evenly spaced, so that the stored state stays small."""
_MOST_LOG = 700.0
"""exp() of a larger number overflows."""


@dataclass(frozen=True)
class Bet:
    """One row. ``step`` counts bars since 1970; ``forecast`` is beyond the bar, in spreads; ``outcome`` likewise, in
    its scale as known before the row."""

    step: int
    forecast: float
    outcome: float


Wealth = tuple[tuple[float, ...], ...]
"""The logarithm of the wealth, by class and stake."""


def start_wealth(horizon: int) -> Wealth:
    """One unit, split evenly."""
    return tuple(tuple(0.0 for _ in STAKES) for _ in range(min(horizon, MOST_CLASSES)))


def place_bets(wealth: Wealth, bets: Iterable[Bet], horizon: int) -> Wealth:
    """The wealth after these rows, which follow all rows before them. Raises ValueError for one without numbers."""
    moved = [list(stakes) for stakes in wealth]
    for bet in bets:
        if not (math.isfinite(bet.forecast) and math.isfinite(bet.outcome)):
            raise ValueError(f"row {bet.step} has no forecast or no outcome")
        own = class_of(bet.step, horizon)
        if own is None:
            continue
        outcome = cap(bet.outcome, OUTCOME_CAP)
        logs = moved[own]
        for number, stake in enumerate(STAKES):
            logs[number] += math.log1p(cap(stake * bet.forecast, STAKE_CAP) * outcome)
    return tuple(map(tuple, moved))


def class_of(step: int, horizon: int) -> int | None:
    """Which class a row bets in; None for one that is left out."""
    place = step % horizon
    if horizon <= MOST_CLASSES:
        return place
    number = place * MOST_CLASSES // horizon
    return number if place == -(-number * horizon // MOST_CLASSES) else None


def log_e_value(wealth: Wealth) -> float:
    """The logarithm of the e-value: of the mean wealth."""
    return log_mean_exp([each for stakes in wealth for each in stakes])


def log_mean_exp(logs: Sequence[float]) -> float:
    """The logarithm of the mean of numbers that are given by their logarithms, at least one."""
    highest = max(logs)
    return highest + math.log(sum(math.exp(each - highest) for each in logs) / len(logs))


def e_value(log_value: float) -> float:
    """A finite e-value from its logarithm."""
    return math.exp(min(log_value, _MOST_LOG))


def e_bh_bound(log_values: Sequence[float], fdr: float, candidates: int = 0) -> float:
    """The bound that the e-values of a run's candidates must reach together, so that of those promoted an expected
    share of at most ``fdr`` knows nothing: e-BH (Wang and Ramdas 2022, "False discovery rate control with e-values").

    With n candidates it is n / (fdr · k) for the largest k that k candidates reach; n / fdr where none does. It holds
    whatever the dependence between symbols. ``candidates`` counts those without an e-value, too.
    """
    count = max(1, candidates, len(log_values))
    for reached, value in reversed(list(enumerate(sorted(log_values, reverse=True), 1))):
        bound = count / (fdr * reached)
        if value >= math.log(bound):
            return bound
    return count / fdr


def cap(value: float, most: float) -> float:
    """The value, moved to the nearer end of ``[-most, most]`` where it lies outside."""
    return max(-most, min(most, value))


RECORD_ROWS = 720
"""How many of the latest live rows are tested together: 30 days of hours."""
BEHIND_BOUND = 1_000.0
"""How strong the evidence against a champion must be. benchmarks/evidence.py shows what it costs and finds."""


def log_behind(forecast: float, outcome: float) -> float:
    """The reverse bet, against a champion: that the outcome falls short of its forecast.

    Both are in units of the outcome's scale. Where the champion is as good as it says, the expected outcome is its
    forecast and the bet is fair; where it knows nothing, the wealth grows as fast as its squared errors exceed the
    bar's: the logarithm is about half their difference.
    """
    own = cap(forecast, 1.0)
    return math.log1p(cap(own, STAKE_CAP) * (own - cap(outcome, OUTCOME_CAP)))
