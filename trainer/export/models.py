"""The two ONNX models of a bundle, scaling inside: from raw features, and from raw bars."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx

from atb.contract.bundle import (
    BARS,
    EXTRA,
    FEATURES,
    LAST_CLOSE,
    LOWER,
    PRICE,
    RETURN,
    SCALED,
    TIME,
    UPPER,
    VOLATILITY,
)
from atb.contract.spec import Spec
from atb.contract.timeframe import to_ms
from trainer.bars.frame import CLOSE, COLUMNS, Floats
from trainer.evaluate.bands import ewma_weights
from trainer.export.graph import Graph
from trainer.export.indicators import write_features
from trainer.export.net import Weights, write_net
from trainer.features.har import INPUTS, Har
from trainer.features.scaling import Scaler, TargetScaler
from trainer.features.sets import FeatureSet
from trainer.features.volatility import VARIANCE_FLOOR
from trainer.networks.architecture import ARCHITECTURES

_ALL = 2**62
"""The end of a slice that takes all there is."""


@dataclass(frozen=True)
class Trained:
    """A trained net with everything that stands between bars and its forecast.

    ``quantiles``: how many volatilities wide the price band of each of the spec's levels is on either side. ``har``:
    what a net of volatility adds its output to.
    """

    spec: Spec
    features: FeatureSet
    scaler: Scaler
    target: TargetScaler
    weights: Weights
    quantiles: tuple[float, ...]
    har: Har | None = None
    net: onnx.ModelProto | None = None
    """The net itself where it is not one of ours, whose graph is written from the weights."""

    @property
    def bar_rows(self) -> int:
        """How many bars ``model_from_bars`` takes: the window and what its indicators remember."""
        return self.features.memory + self.spec.sequence_length


def features_model(trained: Trained) -> onnx.ModelProto:
    """Raw features float32 ``[batch, L, F]`` → the outputs of ``_write_forecast``.

    A feature set free of the price level needs a second input, LAST_CLOSE float32 ``[batch]``.
    """
    graph, features, steps = Graph(), trained.features, trained.spec.sequence_length
    windows = graph.input(FEATURES, np.float32, ["batch", steps, len(features.columns)])
    if features.has_price_level:
        close = features.columns.index(COLUMNS[CLOSE])
        last_row = graph.squeeze(graph.slice(windows, steps - 1, steps, 1), 1)
        last_close = graph.slice(last_row, close, close + 1, 1)
    else:
        given = graph.input(LAST_CLOSE, np.float32, ["batch"])
        last_close = graph.node("Unsqueeze", given, graph.constant([1], np.int64))
    _write_forecast(graph, trained, windows, graph.cast(last_close, np.float64))
    return graph.finish("atb", _metadata(trained))


def bars_model(trained: Trained) -> onnx.ModelProto:
    """Raw bars float64 ``[batch, bar_rows, 5]`` → the outputs of ``_write_forecast``.

    Float64 because the difference of two prices near 1e5 has no digits left in float32. A set with extra columns
    takes them as EXTRA float64 ``[batch, bar_rows, E]``, and one that reads the clock the bars' open times as TIME
    int64 ``[batch, bar_rows]``.
    """
    graph, features, rows = Graph(), trained.features, trained.bar_rows
    bars = graph.input(BARS, np.float64, ["batch", rows, len(COLUMNS)])
    extra = graph.input(EXTRA, np.float64, ["batch", rows, len(features.extras)]) if features.extras else None
    time = graph.input(TIME, np.int64, ["batch", rows]) if features.reads_clock else None
    steps, step_ms = trained.spec.sequence_length, to_ms(trained.spec.timeframe)
    windows = write_features(graph, bars, extra, features, rows, steps, time, step_ms)
    last_row = graph.squeeze(graph.slice(bars, rows - 1, rows, 1), 1)
    _write_forecast(graph, trained, windows, graph.slice(last_row, CLOSE, CLOSE + 1, 1))
    return graph.finish("atb", _metadata(trained))


def _write_forecast(graph: Graph, trained: Trained, windows: str, last_close: str) -> None:
    """Scale, run the net, and unscale its output, in float64 around the net as in ``trainer.features.scaling``.

    Outputs: SCALED; RETURN and PRICE, or VOLATILITY; LOWER and UPPER of the price bands.
    """

    def number(value: npt.ArrayLike) -> str:
        return graph.constant(value, np.float64)

    spec, levels = trained.spec, len(trained.quantiles)
    centred = graph.node("Sub", graph.cast(windows, np.float64), number(trained.scaler.mean))
    scaled_windows = graph.node("Div", centred, number(trained.scaler.scale))
    scaled_windows, added = _at_least_one(graph, graph.cast(scaled_windows, np.float32))
    if trained.net is not None:
        scaled = graph.inline(trained.net, scaled_windows)
    else:
        scaled = write_net(graph, scaled_windows, ARCHITECTURES[spec.model_type], trained.weights)
    scaled = graph.node("Slice", scaled, added, graph.constant([_ALL], np.int64), graph.constant([0], np.int64))
    graph.output(SCALED, scaled, ["batch", 1])
    spread = graph.node("Mul", graph.cast(scaled, np.float64), number(trained.target.scale))
    answer = graph.node("Add", spread, number(trained.target.mean))
    if trained.har is not None:
        answer = graph.node("Add", answer, _write_har(graph, trained, trained.har, windows))
    if spec.target == "volatility":
        centre, volatility = None, graph.node("Exp", answer)
        graph.output(VOLATILITY, graph.cast(volatility, np.float32), ["batch", 1])
    else:
        centre, volatility = answer, _write_window_volatility(graph, trained, windows)
        price = graph.node("Mul", last_close, graph.node("Exp", answer))
        graph.output(RETURN, graph.cast(answer, np.float32), ["batch", 1])
        graph.output(PRICE, graph.cast(price, np.float32), ["batch", 1])
    reach = graph.node("Mul", volatility, number(np.array(trained.quantiles)[None] * math.sqrt(spec.horizon)))
    for name, side in ((LOWER, graph.node("Neg", reach)), (UPPER, reach)):
        edge = side if centre is None else graph.node("Add", centre, side)
        price = graph.node("Mul", last_close, graph.node("Exp", edge))
        graph.output(name, price, ["batch", levels], np.float64)


def _write_har(graph: Graph, trained: Trained, har: Har, windows: str) -> str:
    """HAR's forecast from the last row of each window: float64 ``[batch, 1]``."""
    weights = np.zeros(len(trained.features.columns))
    weights[[trained.features.columns.index(name) for name in INPUTS]] = har.weights
    steps = trained.spec.sequence_length
    last_row = graph.cast(graph.squeeze(graph.slice(windows, steps - 1, steps, 1), 1), np.float64)
    return graph.node("Add", _weighted_sum(graph, last_row, weights), graph.constant(har.intercept, np.float64))


def _write_window_volatility(graph: Graph, trained: Trained, windows: str) -> str:
    """EWMA over the returns within each window, per bar: float64 ``[batch, 1]``."""
    steps, columns = trained.spec.sequence_length, trained.features.columns
    index = columns.index("close" if trained.features.has_price_level else "log_return")
    column = graph.cast(graph.squeeze(graph.slice(windows, index, index + 1, 2), 2), np.float64)
    if trained.features.has_price_level:
        logs = graph.node("Log", column)
        returns = graph.node("Sub", graph.slice(logs, 1, steps, 1), graph.slice(logs, 0, steps - 1, 1))
    else:
        returns = graph.slice(column, 1, steps, 1)
    variance = _weighted_sum(graph, graph.node("Mul", returns, returns), ewma_weights(steps - 1))
    return graph.node("Sqrt", graph.node("Max", variance, graph.constant(VARIANCE_FLOOR, np.float64)))


def _weighted_sum(graph: Graph, values: str, weights: Floats) -> str:
    """float64 ``[batch, n]`` → ``[batch, 1]``; a MatMul would be taken for one of the net's when it is quantised."""
    weighted = graph.node("Mul", values, graph.constant(weights, np.float64))
    return graph.node("ReduceSum", weighted, graph.constant([1], np.int64), keepdims=1)


def _at_least_one(graph: Graph, windows: str) -> tuple[str, str]:
    """The windows ``[max(batch, 1), L, F]``, and how many were put before them, int64 ``[1]``.

    A batch of none has one of zeros put into it: ONNX Runtime's recurrent kernels end the process that hands them none.
    """
    batch = graph.slice(graph.node("Shape", windows), 0, 1, 0)
    one = graph.constant([1], np.int64)
    added = graph.node("Sub", one, graph.node("Min", batch, one))
    pads = graph.node("Concat", added, graph.constant([0] * 5, np.int64), axis=0)
    return graph.node("Pad", windows, pads), added


def _metadata(trained: Trained) -> dict[str, str]:
    """The metadata of the file by itself."""
    spec = trained.spec
    return {
        "symbol": spec.symbol,
        "timeframe": spec.timeframe,
        "target": spec.target,
        "horizon": str(spec.horizon),
        "bands": spec.bands,
        "features": trained.features.name,
        "columns": " ".join(trained.features.columns),
        "spec_digest": spec.digest,
    }
