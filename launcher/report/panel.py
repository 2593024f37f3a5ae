"""What a run's models show together: pooled skill, rank correlation and a long–short portfolio over all symbols.

One symbol's hour says little, and symbols move together, so that 500 of them are not 500 witnesses: every number is a
mean over hours of what the symbols did in that hour, with its t by Newey and West (1987) over ``horizon − 1`` lags.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from atb.documents.evidence import Panel, PanelNumbers, TestRows

FEWEST_SYMBOLS = 10
"""With fewer symbols there is no panel, and an hour with fewer is left out."""

Row = tuple[float, float, float]
"""Forecast and outcome beyond the bar, and how large an outcome was to be expected."""


@dataclass(frozen=True, slots=True)
class SymbolRows:
    """The rows of one symbol as arrays: a large run has millions, which as Python's numbers would take gigabytes."""

    horizon: int
    time: Sequence[int]
    forecast: Sequence[float]
    outcome: Sequence[float]
    scale: Sequence[float]
    linear: Sequence[float]

    @classmethod
    def of(cls, rows: TestRows, most: int) -> SymbolRows:
        """The latest rows, at most ``most``."""
        columns = (rows.forecast, rows.outcome, rows.scale, rows.linear)
        return cls(rows.horizon, array("q", rows.time[-most:]), *(array("d", column[-most:]) for column in columns))


def judge_panel(name: str, symbols: Mapping[str, SymbolRows], cost: float | None) -> Panel | None:
    """The verdict over symbols that were trained alike; None of too few. ``cost``: the share lost of what is traded;
    None where forecasts are not traded on."""
    kept = {symbol: rows for symbol, rows in symbols.items() if rows.time}
    if len(kept) < FEWEST_SYMBOLS:
        return None
    horizon = next(iter(kept.values())).horizon
    model = _numbers(_hours([(symbol, rows, rows.forecast) for symbol, rows in kept.items()]), horizon, cost)
    if model is None:
        return None
    linear = _numbers(_hours([(name, rows, rows.linear) for name, rows in kept.items() if rows.linear]), horizon, cost)
    return Panel(
        name=name, symbols=len(kept), hours=model[0], model=model[1], linear=None if linear is None else linear[1]
    )


def _hours(symbols: Sequence[tuple[str, SymbolRows, Sequence[float]]]) -> Iterator[dict[str, Row]]:
    """The rows of each hour that enough symbols have, in order of time."""
    at = [0] * len(symbols)
    for time in sorted(set().union(*(rows.time for _, rows, _ in symbols))):
        hour: dict[str, Row] = {}
        for number, (symbol, rows, forecasts) in enumerate(symbols):
            row = at[number]
            if row == len(rows.time) or rows.time[row] != time:
                continue
            at[number] += 1
            if rows.scale[row] > 0:
                hour[symbol] = (forecasts[row], rows.outcome[row], rows.scale[row])
        if len(hour) >= FEWEST_SYMBOLS:
            yield hour


def _numbers(hours: Iterator[dict[str, Row]], horizon: int, cost: float | None) -> tuple[int, PanelNumbers] | None:
    """How many hours there are, and what they show; None of fewer than two."""
    own, bar, gains, ranks = 0.0, 0.0, [], []
    earned, held = [], dict[str, float]()
    for number, hour in enumerate(hours):
        errors = [((outcome - forecast) / scale) ** 2 for forecast, outcome, scale in hour.values()]
        squares = [(outcome / scale) ** 2 for _, outcome, scale in hour.values()]
        own, bar = own + sum(errors), bar + sum(squares)
        gains.append((sum(squares) - sum(errors)) / len(hour))
        ranks.append(rank_correlation([row[0] for row in hour.values()], [row[1] for row in hour.values()]))
        if cost is not None and number % horizon == 0:
            gain, held = _trade(hour, held, cost)
            earned.append(gain)
    if len(gains) < 2:
        return None
    return len(gains), PanelNumbers(
        skill=1 - math.sqrt(own / bar) if bar > 0 else 0.0,
        skill_t=t_value(gains, horizon - 1),
        rank_ic=sum(ranks) / len(ranks),
        rank_ic_t=t_value(ranks, horizon - 1),
        long_short_bps=10_000 * sum(earned) / len(earned) if earned else None,
        long_short_t=t_value(earned, 0) if earned else None,
    )


def _trade(hour: Mapping[str, Row], held: Mapping[str, float], cost: float) -> tuple[float, dict[str, float]]:
    """What half a unit in the third with the highest forecasts against half a unit in the lowest returns, and what is
    held then."""
    order = sorted(hour, key=lambda symbol: hour[symbol][0])
    third = len(order) // 3
    wanted = dict.fromkeys(order[-third:], 0.5 / third) | dict.fromkeys(order[:third], -0.5 / third)
    if hour[order[0]][0] == hour[order[-1]][0]:
        wanted = {}  # forecasts that are all alike choose nothing
    traded = sum(abs(wanted.get(symbol, 0.0) - held.get(symbol, 0.0)) for symbol in wanted.keys() | held.keys())
    return sum(weight * math.expm1(hour[symbol][1]) for symbol, weight in wanted.items()) - cost * traded, wanted


def rank_correlation(one: Sequence[float], other: Sequence[float]) -> float:
    """Spearman's: Pearson's correlation of the ranks, ties sharing theirs; 0 where all of one are alike."""
    first, second = _ranks(one), _ranks(other)
    middle = (len(one) + 1) / 2
    together = sum((a - middle) * (b - middle) for a, b in zip(first, second, strict=True))
    apart = sum((a - middle) ** 2 for a in first) * sum((b - middle) ** 2 for b in second)
    return together / math.sqrt(apart) if apart > 0 else 0.0


def _ranks(values: Sequence[float]) -> list[float]:
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks, start = [0.0] * len(values), 0
    while start < len(order):
        stop = start
        while stop < len(order) and values[order[stop]] == values[order[start]]:
            stop += 1
        for place in order[start:stop]:
            ranks[place] = (start + 1 + stop) / 2
        start = stop
    return ranks


def t_value(values: Sequence[float], lags: int) -> float:
    """The mean over its standard error, with autocovariances up to ``lags`` (Newey and West 1987); 0 without spread."""
    count = len(values)
    mean = sum(values) / count
    centred = [value - mean for value in values]
    variance = sum(each * each for each in centred) / count
    for lag in range(1, min(lags, count - 1) + 1):
        together = sum(a * b for a, b in zip(centred[lag:], centred[:-lag], strict=True)) / count
        variance += 2 * (1 - lag / (lags + 1)) * together
    return mean / math.sqrt(variance / count) if variance > 0 else 0.0
