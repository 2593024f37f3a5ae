"""What a run's models show together: pooled skill, rank correlation and a long–short portfolio over all symbols.

One symbol's hour says little, and symbols move together, so that 500 of them are not 500 witnesses: every number is a
mean over hours of what the symbols did in that hour, with its t by Newey and West (1987) over ``horizon − 1`` lags.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from atb.documents.evidence import Panel, PanelNumbers, TestRows

FEWEST_SYMBOLS = 10
"""With fewer symbols there is no panel, and an hour with fewer is left out."""

Row = tuple[float, float, float]
"""Forecast and outcome beyond the bar, and how large an outcome was to be expected."""


def judge_panel(name: str, symbols: Mapping[str, TestRows], cost: float | None) -> Panel | None:
    """The verdict over symbols that were trained alike; None of too few. ``cost``: the share lost of what is traded;
    None where forecasts are not traded on."""
    kept = {symbol: rows for symbol, rows in symbols.items() if rows.time}
    if len(kept) < FEWEST_SYMBOLS:
        return None
    horizon = next(iter(kept.values())).horizon
    model = list(_hours({symbol: (rows, rows.forecast) for symbol, rows in kept.items()}))
    linear = list(_hours({symbol: (rows, rows.linear) for symbol, rows in kept.items() if rows.linear}))
    if len(model) < 2:
        return None
    return Panel(
        name=name,
        symbols=len(kept),
        hours=len(model),
        model=_numbers(model, horizon, cost),
        linear=_numbers(linear, horizon, cost) if len(linear) > 1 else None,
    )


def _hours(symbols: Mapping[str, tuple[TestRows, Sequence[float]]]) -> Iterator[dict[str, Row]]:
    """The rows of each hour that enough symbols have, in order of time."""
    hours: dict[int, dict[str, Row]] = defaultdict(dict)
    for symbol, (rows, forecasts) in symbols.items():
        for time, forecast, outcome, scale in zip(rows.time, forecasts, rows.outcome, rows.scale, strict=True):
            if scale > 0:
                hours[time][symbol] = (forecast, outcome, scale)
    for time in sorted(hours):
        if len(hours[time]) >= FEWEST_SYMBOLS:
            yield hours[time]


def _numbers(hours: Sequence[Mapping[str, Row]], horizon: int, cost: float | None) -> PanelNumbers:
    own, bar, gains, ranks = 0.0, 0.0, [], []
    for hour in hours:
        errors = [((outcome - forecast) / scale) ** 2 for forecast, outcome, scale in hour.values()]
        squares = [(outcome / scale) ** 2 for _, outcome, scale in hour.values()]
        own, bar = own + sum(errors), bar + sum(squares)
        gains.append((sum(squares) - sum(errors)) / len(hour))
        ranks.append(rank_correlation([row[0] for row in hour.values()], [row[1] for row in hour.values()]))
    earned = [] if cost is None else list(_long_short(hours[::horizon], cost))
    return PanelNumbers(
        skill=1 - math.sqrt(own / bar) if bar > 0 else 0.0,
        skill_t=t_value(gains, horizon - 1),
        rank_ic=sum(ranks) / len(ranks),
        rank_ic_t=t_value(ranks, horizon - 1),
        long_short_bps=10_000 * sum(earned) / len(earned) if earned else None,
        long_short_t=t_value(earned, 0) if earned else None,
    )


def _long_short(hours: Sequence[Mapping[str, Row]], cost: float) -> Iterator[float]:
    """The returns of half a unit in the third with the highest forecasts against half a unit in the lowest."""
    held: dict[str, float] = {}
    for hour in hours:
        order = sorted(hour, key=lambda symbol: hour[symbol][0])
        third = len(order) // 3
        wanted = dict.fromkeys(order[-third:], 0.5 / third) | dict.fromkeys(order[:third], -0.5 / third)
        if hour[order[0]][0] == hour[order[-1]][0]:
            wanted = {}  # forecasts that are all alike choose nothing
        traded = sum(abs(wanted.get(symbol, 0.0) - held.get(symbol, 0.0)) for symbol in wanted.keys() | held.keys())
        yield sum(weight * math.expm1(hour[symbol][1]) for symbol, weight in wanted.items()) - cost * traded
        held = wanted


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
