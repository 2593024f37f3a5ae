from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from trainer.bundle.canvas import Pen
from trainer.bundle.charts import draw_history, draw_plots, new_canvas
from trainer.bundle.evidence import draw_evidence
from trainer.bundle.panel import Curve, Panel, draw_panel
from trainer.bundle.scales import linear_scale
from trainer.date_axis import set_date_axis
from trainer.evaluate.evaluation import judge_forecast
from trainer.evaluate.rows import JudgedRows

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize(("level", "epochs", "count"), [(1e-8, 30, 900), (1e5, 1, 640), (1.0, 5, 622)])
def test_four_plots_are_drawn_of_any_price_and_length_and_the_same_twice(
    tmp_path: Path, level: float, epochs: int, count: int
) -> None:
    close = level * np.exp(np.cumsum(np.random.default_rng(0).normal(scale=0.01, size=count)))
    rows = JudgedRows(close, np.arange(620, count - 1), 1, 3_600_000)
    predicted = rows.last * np.exp(np.random.default_rng(1).normal(scale=0.003, size=len(rows.ends)))
    judged = judge_forecast(rows, predicted, {"persistence": rows.last})
    curve = [1 / (1 + epoch) for epoch in range(epochs)]
    history = {"loss": curve, "val_loss": [0.1 + each for each in curve], "learning_rate": [1e-3] * epochs}
    time = np.arange(count) * 3_600_000 + 1_700_000_000_000
    drawn = [draw_plots(tmp_path / name, "BTCUSDT 1h fast", history, rows, time, predicted, judged) for name in "ab"]
    assert [path.name for path in drawn[0]] == ["loss.png", "forecast.png", "errors.png", "equity.png"]
    for one, two in zip(*drawn, strict=True):
        assert one.read_bytes().startswith(PNG)
        assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize("hours", [1, 2, 5, 20, 40, 60, 101, 200, 400, 800, 1_600, 4_000, 9_000, 30_000])
def test_dates_are_readable_over_any_span(hours: int) -> None:
    figure = Figure()
    axes = figure.subplots()
    at = (1_700_000_000_000 + 3_600_000 * np.arange(hours)).astype("datetime64[ms]")
    axes.plot(at, np.zeros(hours))
    set_date_axis(axes, at)
    figure.canvas.draw()
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert 1 <= len(labels) <= 6
    assert len(set(labels)) == len(labels)
    assert all(re.fullmatch(r"\d\d \w{3} (\d{4}|\d\d:\d\d)|\w{3} \d{4}", label) for label in labels)
    steps = np.diff(axes.get_xticks())
    assert not len(steps) or steps.max() / steps.min() < 1.2


@pytest.mark.parametrize("epochs", [1, 2, 5, 30])
def test_epochs_are_whole(epochs: int) -> None:
    scale = linear_scale([np.array([0.5, epochs + 0.5])], 9, whole=True, margin=0.0)
    assert scale.ticks
    assert all(tick == int(tick) >= 1 for tick in scale.ticks)


def test_plots_of_volatility_are_drawn_of_any_level_and_have_no_equity(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    variance = np.exp(generator.normal(-9.0, 1.0, 900))
    close = np.exp(np.cumsum(generator.normal(scale=0.01, size=900)))
    rows = JudgedRows(close, np.arange(620, 899), 1, 3_600_000, variance, train_mean=-4.5)
    judged = judge_forecast(rows, rows.persistence, {"persistence": rows.persistence})
    history = {"loss": [0.9], "val_loss": [0.9], "learning_rate": [1e-3]}
    time = np.arange(900) * 3_600_000 + 1_700_000_000_000
    drawn = draw_plots(tmp_path, "BTCUSDT 1h fast", history, rows, time, rows.actual, judged)
    assert [path.name for path in drawn] == ["loss.png", "forecast.png", "errors.png"]


def test_the_best_epoch_is_marked_where_it_lies() -> None:
    history = {"loss": [3.0, 2.0, 1.5], "val_loss": [2.5, 1.1, 2.0], "learning_rate": [1e-3] * 3}
    canvas, (top, _) = new_canvas((3, 1))
    found = np.argwhere((draw_history("x", history).pixels() == [0xD9, 0x82, 0x2B]).all(axis=2))
    found[:, 0] = canvas.height - found[:, 0]
    below_the_legend = (found[:, 0] > top.bottom) & (found[:, 0] < top.top - 100)
    up, across = found[below_the_legend].mean(axis=0)
    assert across == pytest.approx((top.left + top.right) / 2, abs=2), "the second of three epochs"
    share = float(linear_scale([np.array([1.0, 3.0])], 9).place(1.1))
    assert up == pytest.approx(top.bottom + (top.top - top.bottom) * share, abs=2)


def test_evidence_is_drawn_with_and_without_spent_rows(tmp_path: Path) -> None:
    assert draw_evidence("x", [], tmp_path / "none.png").read_bytes().startswith(PNG)


@pytest.mark.parametrize(("values", "side"), [([1.0, 3.0], "left"), ([3.0, 1.0], "right"), ([2.0, 2.0], "left")])
def test_the_legend_stands_where_the_curve_is_low(values: list[float], side: str) -> None:
    canvas, (box,) = new_canvas((1,))
    y = linear_scale([np.array([1.0, 3.0])], 9)
    curve = Curve([0.0, 1.0], values, Pen("#d9822b"), "name")
    draw_panel(canvas, Panel(box, linear_scale([np.array([0.0, 1.0])], 9), y, [curve]))
    rows, columns = slice(canvas.height - int(box.top) + 5, canvas.height - int(box.top) + 40), int(box.left) + 5
    name = np.flatnonzero((canvas.pixels()[rows, columns:] < 60).all(axis=2).any(axis=0))
    assert ("left" if columns + name.mean() < canvas.width / 2 else "right") == side
