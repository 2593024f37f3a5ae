"""What trading on the forecast would have earned on the test rows, after costs.

A position is chosen at the close of bar ``t`` from what is known then, and earns the return from ``t`` to ``t + 1``:
the engine gives the return of a bar to the position of the bar before, so that it can't look ahead. A forecast for
``horizon`` bars is held for that long: capital is split in ``horizon`` equal parts, one renewed each bar (Jegadeesh
and Titman 1993). Positions are fractions of the equity, brought back to that fraction at every close.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from atb.contract.spec import Spec
from atb.documents.evaluation import TradingTerms
from trainer.evaluate.metrics import Floats

Rows = NDArray[np.int64]

FEE_BPS = 10.0
SLIPPAGE_BPS = 2.0
_YEAR_MS = 365 * 86_400_000


@dataclass(frozen=True)
class TradingRules:
    """How a forecast becomes a position. Costs are basis points of what is traded, each way.

    ``threshold_bps``: a forecast return must exceed it (below −it to go short). None: the cost of trading one way.
    """

    fee_bps: float = FEE_BPS
    slippage_bps: float = SLIPPAGE_BPS
    threshold_bps: float | None = None
    short: bool = False

    @property
    def cost_bps(self) -> float:
        """What each unit traded costs."""
        return self.fee_bps + self.slippage_bps

    @property
    def cost(self) -> float:
        """The share lost of each unit traded."""
        return self.cost_bps / 10_000

    @property
    def threshold(self) -> float:
        """The simple return that a forecast must exceed."""
        return (self.cost_bps if self.threshold_bps is None else self.threshold_bps) / 10_000

    @property
    def terms(self) -> TradingTerms:
        """For the result, with the threshold as it was applied."""
        threshold = self.cost_bps if self.threshold_bps is None else self.threshold_bps
        return TradingTerms(
            fee_bps=self.fee_bps, slippage_bps=self.slippage_bps, threshold_bps=threshold, short=self.short
        )


DEFAULT_RULES = TradingRules()


def trading_rules(spec: Spec) -> TradingRules:
    """The costs and thresholds that a spec asks for."""
    return TradingRules(spec.fee_bps, spec.slippage_bps, spec.threshold_bps, spec.short)


@dataclass(frozen=True)
class Backtest:
    """One strategy's bars. ``ends[i]`` is the row whose close the position was chosen at; the last bars of a group
    close what is still held. ``equity`` is what one unit had become after that bar's return."""

    ends: Rows
    positions: Floats
    returns: Floats
    equity: Floats
    traded: Floats
    trades: int


def run_backtest(close: Floats, ends: Rows, forecast: Floats, horizon: int, rules: TradingRules) -> Backtest:
    """Trade the forecasts. ``close``: float64[n] prices; ``ends``: rising rows, with ``close[ends + horizon]`` in the
    same segment; ``forecast``: the simple return forecast at each end. Rows that don't follow each other are traded
    apart, with nothing held across the gap."""
    signals = (forecast > rules.threshold).astype(np.float64)
    if rules.short:
        signals -= forecast < -rules.threshold
    return _trade(close, ends, signals, horizon, rules.cost)


def hold(close: Floats, ends: Rows, horizon: int, rules: TradingRules) -> Backtest:
    """Buy and hold over the same bars at the same costs."""
    groups = list(contiguous(ends))
    rows = np.concatenate([np.arange(group[0], group[-1] + horizon) for group in groups])
    return _trade(close, rows, np.ones(len(rows)), 1, rules.cost)


def summarise(backtest: Backtest, bar_ms: int) -> Iterator[tuple[str, float]]:
    """Yield (name, value): return and drawdown as shares, Sharpe by the year with its standard error (Lo 2002, for
    independent returns: √((1 + S²/2) / n)), trades, the mean absolute position, what was traded in units of equity,
    and the skew and kurtosis (3 is normal) of a bar's return."""
    returns = backtest.returns
    spread = float(np.std(returns))
    each = float(np.mean(returns)) / spread if spread > 1e-15 else 0.0
    bars_a_year = _YEAR_MS / bar_ms
    yield "return", float(backtest.equity[-1] - 1)
    yield "sharpe", each * math.sqrt(bars_a_year)
    yield "sharpe_error", math.sqrt((1 + each * each / 2) / len(returns) * bars_a_year)
    yield "drawdown", drawdown(backtest.equity)
    yield "trades", float(backtest.trades)
    yield "exposure", float(np.mean(np.abs(backtest.positions)))
    yield "turnover", float(np.sum(backtest.traded))
    yield "bars", float(len(returns))
    scaled = (returns - np.mean(returns)) / spread if spread > 1e-15 else np.zeros_like(returns)
    yield "skew", float(np.mean(scaled**3))
    yield "kurtosis", float(np.mean(scaled**4)) if spread > 1e-15 else 3.0


def curve(backtest: Backtest, points: int = 120) -> list[float]:
    """The equity at up to ``points`` bars evenly apart, the last among them: enough for a small picture."""
    chosen = np.unique(np.linspace(0, len(backtest.equity) - 1, points).astype(np.int64))
    return [round(float(value), 5) for value in backtest.equity[chosen]]


def drawdown(equity: Floats) -> float:
    """The largest loss from a peak, as a share of it; the starting unit counts as a peak."""
    path = np.concatenate([[1.0], equity])
    peaks = np.maximum.accumulate(path)
    return float(np.max((peaks - path) / peaks))


def contiguous(ends: Rows) -> Iterator[Rows]:
    """The runs of rows that follow each other."""
    yield from np.split(ends, np.flatnonzero(np.diff(ends) != 1) + 1)


def _trade(close: Floats, ends: Rows, signals: Floats, horizon: int, cost: float) -> Backtest:
    rows, held, returns, traded = [], [], [], []
    trades = start = 0
    for group in contiguous(ends):
        chosen = signals[start : start + len(group)]
        start += len(group)
        positions = np.convolve(chosen, np.full(horizon, 1 / horizon))  # the parts bought over the last h bars
        bars = np.arange(group[0], group[0] + len(positions))
        bought = np.abs(np.diff(positions, prepend=0.0))
        bought[bought < 1e-12] = 0.0
        trades += int(np.count_nonzero(bought)) + (abs(positions[-1]) > 1e-12)
        cost_paid = bought * cost
        cost_paid[-1] += abs(positions[-1]) * cost  # sold at the last close
        bought[-1] += abs(positions[-1])
        rows.append(bars)
        held.append(positions)
        returns.append(positions * (close[bars + 1] / close[bars] - 1) - cost_paid)
        traded.append(bought)
    earned = np.maximum(np.concatenate(returns), -1.0)  # nothing is left after a loss of everything
    return Backtest(
        ends=np.concatenate(rows),
        positions=np.concatenate(held),
        returns=earned,
        equity=np.cumprod(1 + earned),
        traded=np.concatenate(traded),
        trades=trades,
    )
