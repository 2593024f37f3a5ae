from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from trainer.bundle.charts import draw_history, draw_plots
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


def test_epochs_are_whole_and_every_line_has_its_name() -> None:
    for epochs in (1, 2, 5, 30):
        history = {"loss": [1.0] * epochs, "val_loss": [1.0] * epochs, "learning_rate": [1e-3] * epochs}
        figure = draw_history("x", history)
        figure.canvas.draw()
        top, bottom = figure.axes
        low, high = bottom.get_xlim()
        ticks = [tick for tick in bottom.get_xticks() if low <= tick <= high]
        assert ticks
        assert all(tick == int(tick) >= 1 for tick in ticks)
        assert [line.get_label() for line in top.lines if str(line.get_label()).startswith("_")] == []
