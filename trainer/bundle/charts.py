"""The bundle's plots, as PNG. Drawn without a display, and without matplotlib's global state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from trainer.date_axis import set_date_axis
from trainer.evaluate.evaluation import Judgement, Trading
from trainer.evaluate.metrics import Floats
from trainer.evaluate.rows import JudgedRows

MODEL, OTHER, QUIET = "#1f5fa8", "#d9822b", "#8a8f98"
_SHOWN_BARS = 240
"""How many of the last test rows the forecast plot shows: more is a smear."""

Times = npt.NDArray[np.int64]


def draw_plots(
    folder: Path,
    title: str,
    history: Mapping[str, Sequence[float]],
    rows: JudgedRows,
    time: Times,
    predicted: Floats,
    judgement: Judgement,
) -> list[Path]:
    """Write the plots; returns their paths. A model of volatility has no equity to draw. ``time``: int64[n] open times
    in ms of all bars; ``predicted``: float64[len(rows.ends)] in the terms of ``rows.actual``; ``history``: loss,
    val_loss and learning_rate by epoch."""
    folder.mkdir(parents=True, exist_ok=True)
    volatile = rows.variance is not None
    drawn = {
        "loss": draw_history(title, history),
        "forecast": (draw_volatility if volatile else draw_forecast)(title, rows, time, predicted),
        "errors": (draw_volatility_errors if volatile else draw_errors)(title, rows, predicted),
    }
    if judgement.trading is not None:
        drawn["equity"] = draw_equity(title, time, judgement.trading)
    return [save(figure, folder / f"{name}.png") for name, figure in drawn.items()]


def draw_history(title: str, history: Mapping[str, Sequence[float]]) -> Figure:
    """Loss by epoch with the best one marked, and the learning rate below."""
    figure, (top, bottom) = new_panels(f"{title}: loss", (3, 1))
    epochs = np.arange(1, len(history["loss"]) + 1)
    top.plot(epochs, history["loss"], color=QUIET, label="train")
    top.plot(epochs, history["val_loss"], color=MODEL, label="validation")
    best = int(np.argmin(history["val_loss"]))
    top.plot(epochs[best], history["val_loss"][best], "o", color=OTHER, label=f"best: epoch {epochs[best]}")
    top.axhline(1.0, color=QUIET, linewidth=0.8, linestyle=":", label="always the train rows' mean")
    top.set_ylabel("mean squared error, scaled")
    top.legend(frameon=False, loc="upper right")
    bottom.step(epochs, history["learning_rate"], where="mid", color=OTHER)
    bottom.set_yscale("log")
    bottom.set_ylabel("learning rate")
    bottom.set_xlabel("epoch")
    bottom.set_xlim(0.5, len(epochs) + 0.5)
    bottom.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    _label_plainly(bottom.yaxis)
    return figure


def draw_forecast(title: str, rows: JudgedRows, time: Times, predicted: Floats) -> Figure:
    """Forecast and actual price on the last test rows, and forecast against actual return on all of them."""
    figure = Figure(figsize=(11, 4.2))
    figure.subplots_adjust(left=0.08, right=0.985, top=0.91, bottom=0.13, wspace=0.17)
    left, right = figure.subplots(1, 2, width_ratios=(2.2, 1))
    shown = slice(-_SHOWN_BARS, None)
    at = _dates(time[rows.ends + rows.horizon] + rows.bar_ms)[shown]
    left.plot(at, rows.actual[shown], color=QUIET, linewidth=1.2, label="actual close")
    left.plot(at, predicted[shown], color=MODEL, linewidth=1.0, label="forecast")
    left.set_title(f"{title}: last {len(at)} test rows", loc="left", fontsize=11)
    left.set_ylabel("price")
    left.legend(frameon=False, loc="upper left")
    set_date_axis(left, at)
    actual, forecast = (100 * np.log(price / rows.last) for price in (rows.actual, predicted))
    right.scatter(actual, forecast, s=6, color=MODEL, alpha=0.35, linewidths=0)
    low, high = np.percentile(actual, [0.5, 99.5])
    right.plot([low, high], [low, high], color=QUIET, linewidth=0.8, linestyle=":", label="forecast = actual")
    right.axhline(0, color=QUIET, linewidth=0.6)
    right.axvline(0, color=QUIET, linewidth=0.6)
    right.set_title("return, %", loc="left", fontsize=11)
    right.set_xlabel("actual")
    right.set_ylabel("forecast")
    right.legend(frameon=False, loc="upper left", fontsize=8)
    _plain(right)
    return figure


def draw_errors(title: str, rows: JudgedRows, predicted: Floats) -> Figure:
    """The forecast's errors in percent of the price, over those of the last close."""
    own, persistence = (100 * (price / rows.actual - 1) for price in (predicted, rows.last))
    return _draw_errors(title, own, persistence, "last close", "forecast error, % of the price")


def _draw_errors(title: str, own: Floats, other: Floats, whose: str, unit: str) -> Figure:
    figure, (axes,) = new_panels(f"{title}: errors on {len(own):,} test rows", (1,))
    reach = float(np.percentile(np.abs(np.concatenate([own, other])), 99.5)) or 1.0
    bins = np.linspace(-reach, reach, 61).tolist()
    axes.hist(np.clip(own, -reach, reach), bins=bins, histtype="stepfilled", color=MODEL, alpha=0.6, label="model")
    axes.hist(np.clip(other, -reach, reach), bins=bins, color=OTHER, histtype="step", linewidth=1.4, label=whose)
    axes.set_xlabel(unit)
    axes.set_ylabel("rows")
    axes.legend(frameon=False, loc="upper left")
    return figure


def draw_volatility(title: str, rows: JudgedRows, time: Times, predicted: Floats) -> Figure:
    """Forecast and actual volatility per bar on the last test rows, and one against the other on all of them."""
    figure = Figure(figsize=(11, 4.2))
    figure.subplots_adjust(left=0.08, right=0.985, top=0.91, bottom=0.13, wspace=0.17)
    left, right = figure.subplots(1, 2, width_ratios=(2.2, 1))
    at = _dates(time[rows.ends + rows.horizon] + rows.bar_ms)[-_SHOWN_BARS:]
    actual, forecast = (100 * np.exp(logs) for logs in (rows.actual, predicted))
    left.plot(at, actual[-_SHOWN_BARS:], color=QUIET, linewidth=1.2, label="actual")
    left.plot(at, forecast[-_SHOWN_BARS:], color=MODEL, linewidth=1.0, label="forecast")
    left.set_title(f"{title}: last {len(at)} test rows", loc="left", fontsize=11)
    left.set_ylabel("volatility per bar, %")
    left.legend(frameon=False, loc="upper left")
    set_date_axis(left, at)
    right.scatter(actual, forecast, s=6, color=MODEL, alpha=0.35, linewidths=0)
    ends = [float(actual.min()), float(actual.max())]
    right.plot(ends, ends, color=QUIET, linewidth=0.8, linestyle=":", label="forecast = actual")
    right.set_xscale("log")
    right.set_yscale("log")
    _label_plainly(right.xaxis)
    _label_plainly(right.yaxis)
    right.set_title("volatility per bar, %", loc="left", fontsize=11)
    right.set_xlabel("actual")
    right.set_ylabel("forecast")
    right.legend(frameon=False, loc="upper left", fontsize=8)
    _plain(right)
    return figure


def draw_volatility_errors(title: str, rows: JudgedRows, predicted: Floats) -> Figure:
    """The logs of forecast over actual volatility, over those of persistence."""
    own, persistence = predicted - rows.actual, rows.persistence - rows.actual
    return _draw_errors(title, own, persistence, "persistence", "log of forecast over actual volatility")


def draw_equity(title: str, time: Times, trading: Trading) -> Figure:
    """What one unit turned into after costs, and the loss from its peak below."""
    figure, (top, bottom) = new_panels(f"{title}: trading on the test rows, after costs", (3, 1))
    for backtest, color, label in ((trading.hold, QUIET, "buy and hold"), (trading.model, MODEL, "model")):
        at = _dates(time[backtest.ends + 1])
        peaks = np.maximum.accumulate(np.concatenate([[1.0], backtest.equity]))[1:]
        top.plot(at, backtest.equity, color=color, label=f"{label} {100 * (backtest.equity[-1] - 1):+.1f} %")
        bottom.plot(at, 100 * (backtest.equity / peaks - 1), color=color, linewidth=1.0)
    top.axhline(1.0, color=QUIET, linewidth=0.6, linestyle=":", label="what it began with")
    top.set_ylabel("equity")
    top.legend(frameon=False, loc="best")
    bottom.set_ylabel("drawdown, %")
    set_date_axis(bottom, at)
    return figure


def new_panels(title: str, heights: tuple[int, ...]) -> tuple[Figure, list[Axes]]:
    """A figure with panels below each other."""
    figure = Figure(figsize=(9, 4.8))
    # A layout that fits itself to the labels draws each figure twice
    figure.subplots_adjust(left=0.1, right=0.98, top=0.93, bottom=0.11, hspace=0.12)
    grid = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)
    panels = [row[0] for row in grid]
    panels[0].set_title(title, loc="left", fontsize=11)
    for axes in panels:
        _plain(axes)
    return figure, panels


def _plain(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, color="#e6e8eb", linewidth=0.6)
    axes.set_axisbelow(True)


def _label_plainly(axis: Any) -> None:
    """Numbers of a logarithmic axis as people write them: 0.2 and not a power of ten."""
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=8))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())


def _dates(milliseconds: Times) -> npt.NDArray[np.datetime64]:
    return milliseconds.astype("datetime64[ms]")


def save(figure: Figure, path: Path) -> Path:
    """Write a PNG, lightly compressed: 15 ms of CPU less each for 14 % more bytes."""
    figure.savefig(
        path,
        dpi=110,
        metadata={"Software": None},  # the same numbers give the same bytes
        pil_kwargs={"compress_level": 1},
    )
    return path
