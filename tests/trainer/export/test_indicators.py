"""The features as a graph makes them of bars, beside those that training computes."""

from __future__ import annotations

import numpy as np
import pytest

from atb.contract.features import FEATURE_SETS
from tests.trainer.export.trained import make_bars
from trainer.bars.frame import Bars
from trainer.export.graph import Graph
from trainer.export.indicators import write_features
from trainer.features.sets import Features, compute_features, feature_set
from trainer.forecast import open_session

WANTED = 40


def features_in_a_graph(text: str, bars: Bars) -> Features:
    """The last WANTED rows ``[WANTED, F]``, as float32."""
    graph = Graph()
    given = graph.input("bars", np.float64, ["batch", len(bars), 5])
    time = graph.input("time", np.int64, ["batch", len(bars)])
    windows = write_features(graph, given, None, feature_set(text), len(bars), WANTED, time, bars.step_ms)
    graph.output("windows", windows, ["batch", WANTED, len(feature_set(text).columns)])
    session = open_session(graph.finish("features", {}).SerializeToString())
    found: Features = session.run(None, {"bars": bars.values[None], "time": bars.time[None]})[0][0]
    return found


@pytest.mark.parametrize("price", [1e-8, 1e-6, 1.0, 1e5])
@pytest.mark.parametrize("text", FEATURE_SETS)
def test_each_feature_agrees_to_the_last_digit_of_float32(text: str, price: float) -> None:
    bars = make_bars(feature_set(text).memory + WANTED, price)
    expected = compute_features(feature_set(text), bars)[-WANTED:]
    around_zero = 1e-14 if text == "volatility" else 1e-12 * price  # the sine of π is none in floats
    assert np.allclose(features_in_a_graph(text, bars), expected, rtol=3e-7, atol=around_zero)


@pytest.mark.parametrize("text", FEATURE_SETS)
def test_a_longer_history_changes_nothing_to_speak_of(text: str) -> None:
    bars, rows = make_bars(2_000, 100.0), feature_set(text).memory + WANTED
    expected = compute_features(feature_set(text), bars)[-WANTED:]
    found = features_in_a_graph(text, bars.rows(2_000 - rows, 2_000))
    assert np.allclose(found, expected, rtol=1e-6, atol=1e-8)


def test_a_market_that_stands_still_has_a_middling_rsi_and_no_change_of_volume() -> None:
    values = np.tile([2.0, 2.0, 2.0, 2.0, 0.0], (feature_set("relative").memory + WANTED, 1))
    bars = Bars("BTCUSDT", "1h", 3_600_000 * np.arange(len(values)), values)
    found = features_in_a_graph("relative", bars)
    columns = feature_set("relative").columns
    assert np.allclose(found, compute_features(feature_set("relative"), bars)[-WANTED:], rtol=0, atol=1e-12)
    assert (found[:, columns.index("rsi")] == 50).all()
    assert (found[:, columns.index("volume_change")] == 0).all()
