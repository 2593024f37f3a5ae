"""The parts of a result that say how good a model is: evaluation, comparison with the champion, backtest.

Metrics are mappings from a metric's name to its value; ``trainer.evaluate.metrics`` and ``trainer.evaluate.backtest``
name them. They are in price, on the purged test rows.
"""

from __future__ import annotations

from atb.schema import Part, SparsePart


class Folds(Part):
    """Walk-forward folds in order of time. ``spread`` is the sample standard deviation of each metric."""

    count: int
    mean: dict[str, float]
    spread: dict[str, float]
    each: tuple[dict[str, float], ...] = ()


class ForecastComparison(Part):
    """Two models on the same rows: metrics and trading of each."""

    rows: int
    candidate: dict[str, float]
    candidate_trading: dict[str, float] = {}
    champion: dict[str, float]
    champion_trading: dict[str, float] = {}


class ChampionComparison(ForecastComparison):
    """The candidate and the champion on the rows that both can forecast and neither was trained on. ``entry`` is the
    history key of the decision that made the champion."""

    entry: str
    run: str
    job: str


class NotCompared(Part):
    """The champion that a candidate met, and why the two could not be compared."""

    entry: str
    run: str
    job: str
    problem: str


class BandMetrics(Part):
    """How bands of one level did. ``coverage``: the share of closes within. ``width`` and ``score`` are shares of the
    last close; the interval score is the width and ``2/(1 − level)`` times the distance by which a close lies outside,
    and smaller is better (Gneiting and Raftery 2007; Winkler 1972)."""

    level: float
    coverage: float
    width: float
    score: float


class Evaluation(SparsePart):
    """What is known of the forecasts beside their metrics. ``rows`` counts the test rows; ``spread`` is the standard
    deviation of what was forecast over that of what was; ``regimes`` has metrics by volatility regime. ``over`` is the
    skill over each baseline with its lower bound, the best baseline first. ``bands`` are by who made them (the model,
    EWMA with a normal distribution, historical simulation), then over all rows or by regime. ``zero_ranges``: bars of
    the test rows' targets whose range was below the floor."""

    rows: int | None = None
    spread: float | None = None
    regimes: dict[str, dict[str, float]] = {}
    champion: ChampionComparison | NotCompared | None = None
    folds: Folds | None = None
    over: dict[str, dict[str, float]] = {}
    bands: dict[str, dict[str, tuple[BandMetrics, ...]]] = {}
    zero_ranges: int | None = None


class TradingTerms(Part):
    """How forecasts were traded: costs each way and the least forecast return to act on, in basis points."""

    fee_bps: float
    slippage_bps: float
    threshold_bps: float
    short: bool


class BacktestSummary(SparsePart):
    """Trading on the test rows after costs. ``curves`` are equities at bars evenly apart, for small charts."""

    rules: TradingTerms | None = None
    model: dict[str, float] = {}
    hold: dict[str, float] = {}
    curves: dict[str, tuple[float, ...]] = {}
