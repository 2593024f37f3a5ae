"""The two ONNX models of a bundle, scaling inside: from raw features, and from raw bars."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx

from atb.contract.bundle import BARS, EXTRA, FEATURES, LAST_CLOSE, PRICE, RETURN, SCALED, TIME
from atb.contract.spec import Spec
from atb.contract.timeframe import to_ms
from trainer.bars.frame import CLOSE, COLUMNS
from trainer.export.graph import Graph
from trainer.export.indicators import write_features
from trainer.export.net import Weights, write_net
from trainer.features.scaling import Scaler, TargetScaler
from trainer.features.sets import FeatureSet
from trainer.networks.architecture import ARCHITECTURES


@dataclass(frozen=True)
class Trained:
    """A trained net with everything that stands between bars and its forecast."""

    spec: Spec
    features: FeatureSet
    scaler: Scaler
    target: TargetScaler
    weights: Weights

    @property
    def bar_rows(self) -> int:
        """How many bars ``model_from_bars`` takes: the window and what its indicators remember."""
        return self.features.memory + self.spec.sequence_length


def features_model(trained: Trained) -> onnx.ModelProto:
    """Raw features float32 ``[batch, L, F]`` → SCALED, RETURN, PRICE.

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
    """Raw bars float64 ``[batch, bar_rows, 5]`` → SCALED, RETURN, PRICE.

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
    """Scale, ask the net, and bring its answer back, in float64 around the net as in ``trainer.features.scaling``."""
    centred = graph.node("Sub", graph.cast(windows, np.float64), graph.constant(trained.scaler.mean, np.float64))
    scaled_windows = graph.node("Div", centred, graph.constant(trained.scaler.scale, np.float64))
    plan = ARCHITECTURES[trained.spec.model_type]
    scaled = write_net(graph, graph.cast(scaled_windows, np.float32), plan, trained.weights)
    spread = graph.node("Mul", graph.cast(scaled, np.float64), graph.constant(trained.target.scale, np.float64))
    log_return = graph.node("Add", spread, graph.constant(trained.target.mean, np.float64))
    price = graph.node("Mul", last_close, graph.node("Exp", log_return))
    graph.output(SCALED, scaled, ["batch", 1])
    graph.output(RETURN, graph.cast(log_return, np.float32), ["batch", 1])
    graph.output(PRICE, graph.cast(price, np.float32), ["batch", 1])


def _metadata(trained: Trained) -> dict[str, str]:
    """What a lone file says about itself."""
    spec = trained.spec
    return {
        "symbol": spec.symbol,
        "timeframe": spec.timeframe,
        "horizon": str(spec.horizon),
        "features": trained.features.name,
        "columns": " ".join(trained.features.columns),
        "spec_digest": spec.digest,
    }
