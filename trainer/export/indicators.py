"""The indicators of a feature set as ONNX nodes, in float64, over the last rows of a stretch of bars.

Moving averages are linear: each is one constant matrix, computed by applying ``trainer.features.indicators`` to unit
columns, so that serving can't drift from training.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence

import numpy as np

from trainer.bars.frame import CLOSE, COLUMNS, HIGH, LOW, OPEN, VOLUME
from trainer.export.graph import Graph
from trainer.export.stretch import Matrix, Stretch
from trainer.features import indicators, volatility
from trainer.features.sets import MEANS, PERIOD, FeatureSet


def write_features(
    graph: Graph,
    bars: str,
    extra: str | None,
    features: FeatureSet,
    rows: int,
    wanted: int,
    time: str | None = None,
    step_ms: int = 0,
) -> str:
    """Append the features: float64 bars ``[batch, rows, 5]`` → float32 ``[batch, wanted, F]``.

    ``extra``: float64 ``[batch, rows, E]``, the extra columns of the set in its order, where it has some. ``time``:
    int64 ``[batch, rows]``, the bars' open times in milliseconds, and ``step_ms`` a bar's length, where it reads the
    clock.
    """
    columns = [*_find_writer(features)(Stretch(graph, bars, rows, wanted, time, step_ms))]
    if extra is not None:
        columns.append(graph.slice(extra, rows - wanted, rows, 1))
    return graph.cast(graph.node("Concat", *columns, axis=2), np.float32)


def _find_writer(features: FeatureSet) -> Callable[[Stretch], Sequence[str]]:
    own = features.base.own
    return _WRITERS[features.base.name] if own is None else own.write


def _classic(x: Stretch) -> list[str]:
    close = x.column(CLOSE, 0, x.rows)
    bars = x.graph.slice(x.bars, x.rows - x.wanted, x.rows, 1)
    assert COLUMNS == ("open", "high", "low", "close", "volume")
    return [bars, *(_sma(x, close, window) for window in MEANS), _rsi(x)]


def _relative(x: Stretch) -> list[str]:
    graph, close = x.graph, x.last(CLOSE)
    every_close = x.column(CLOSE, 0, x.rows)

    def share(value: str) -> str:
        return graph.node("Div", value, close)

    volume, volume_before = x.last(VOLUME), x.previous(VOLUME)
    return [
        graph.node("Log", graph.node("Div", close, x.previous(CLOSE))),
        share(graph.node("Sub", x.last(HIGH), x.last(LOW))),
        share(graph.node("Sub", close, x.last(OPEN))),
        *(graph.node("Sub", graph.node("Div", close, _sma(x, every_close, window)), x.number(1)) for window in MEANS),
        _rsi(x),
        share(x.average(every_close, x.rows, indicators.macd)),
        share(_atr(x)),
        _divide(x, graph.node("Sub", volume, volume_before), graph.node("Add", volume, volume_before), 0),
    ]


def _volatility(x: Stretch) -> list[str]:
    graph, number = x.graph, x.number

    def log_return(first: int, stop: int) -> str:
        return graph.node("Log", graph.node("Div", x.column(CLOSE, first, stop), x.column(CLOSE, first - 1, stop - 1)))

    ranges = graph.node("Log", graph.node("Div", x.column(HIGH, 0, x.rows), x.column(LOW, 0, x.rows)))
    floored = graph.node("Max", ranges, number(volatility.RANGE_FLOOR))
    variance = graph.node("Div", graph.node("Mul", floored, floored), number(4 * math.log(2)))
    means = {window: _sma(x, variance, window) for window in volatility.WINDOWS}
    returns = log_return(x.rows - x.wanted, x.rows)
    bound = volatility.RETURN_BOUND
    over = graph.node("Div", returns, graph.node("Sqrt", means[24]))
    volume = x.last(VOLUME)
    usual = _sma(x, x.column(VOLUME, 0, x.rows), volatility.VOLUME_BARS)
    return [
        *(graph.node("Mul", graph.node("Log", means[window]), number(0.5)) for window in volatility.WINDOWS),
        returns,
        graph.node("Min", graph.node("Max", over, number(-bound)), number(bound)),
        _divide(x, graph.node("Sub", volume, usual), graph.node("Add", volume, usual), 0),
        *_clock(x),
    ]


def _clock(x: Stretch) -> list[str]:
    graph = x.graph
    assert x.time is not None
    rows = graph.slice(x.time, x.rows - x.wanted, x.rows, 1)
    opens = graph.node("Unsqueeze", rows, graph.constant([2], np.int64))
    waves = []
    for _, period, offset in volatility.WAVES:
        shifted = graph.node("Add", opens, graph.constant(x.step_ms - offset, np.int64))
        since = graph.cast(graph.node("Mod", shifted, graph.constant(period, np.int64)), np.float64)
        phase = graph.node("Mul", since, x.number(2 * math.pi / period))
        waves += [graph.node("Sin", phase), graph.node("Cos", phase)]
    return waves


def _sma(x: Stretch, close: str, window: int) -> str:
    """One column does for all: a value's weight follows from how many rows ago it was."""
    first = x.rows - x.wanted
    assert first >= window - 1, "the warm-up is too short for this indicator"
    unit = np.zeros(window - 1 + x.rows)
    unit[window - 1] = 1.0
    by_age = indicators.sma(unit, window)[window - 1 :]
    ages = np.arange(first, x.rows)[:, None] - np.arange(x.rows)
    return x.weigh(close, np.where(ages >= 0, by_age[np.maximum(ages, 0)], 0.0))


def _wilder(x: Stretch, column: str) -> str:
    """Wilder's average of a column that begins with the second row: the true range of bars as high as its values."""
    return x.weigh(column, _wilder_weights(x.rows, x.wanted))


@functools.cache
def _wilder_weights(rows: int, wanted: int) -> Matrix:
    zeros = np.zeros(rows)
    units = (np.concatenate([[0.0], unit]) for unit in np.eye(rows - 1))
    return np.stack([indicators.atr(high, zeros, zeros, PERIOD)[-wanted:] for high in units], axis=1)


def _rsi(x: Stretch) -> str:
    graph = x.graph
    moves = graph.node("Sub", x.column(CLOSE, 1, x.rows), x.column(CLOSE, 0, x.rows - 1))
    gain = _wilder(x, graph.node("Relu", moves))
    loss = _wilder(x, graph.node("Relu", graph.node("Neg", moves)))
    return _divide(x, graph.node("Mul", gain, x.number(100)), graph.node("Add", gain, loss), 50)


def _atr(x: Stretch) -> str:
    graph, before = x.graph, x.column(CLOSE, 0, x.rows - 1)
    top = graph.node("Max", x.column(HIGH, 1, x.rows), before)
    bottom = graph.node("Min", x.column(LOW, 1, x.rows), before)
    return _wilder(x, graph.node("Sub", top, bottom))


def _divide(x: Stretch, part: str, whole: str, otherwise: float) -> str:
    """``part / whole``, and ``otherwise`` where the whole is 0."""
    graph = x.graph
    positive = graph.node("Greater", whole, x.number(0))
    quotient = graph.node("Div", part, graph.node("Where", positive, whole, x.number(1)))
    return graph.node("Where", positive, quotient, x.number(otherwise))


_WRITERS = {"classic": _classic, "relative": _relative, "volatility": _volatility}
