"""The bundle's plots, as PNG. Drawn without a display, and without matplotlib's global state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from trainer.bundle.canvas import DOTTED, SMALL, Box, Canvas, Pen
from trainer.bundle.panel import Curve, Level, Panel, Series, draw_panel
from trainer.bundle.scales import Scale, date_scale, linear_scale, log_scale, to_seconds
from trainer.evaluate.evaluation import Judgement, Trading
from trainer.evaluate.metrics import Floats
from trainer.evaluate.rows import JudgedRows

MODEL, OTHER, QUIET = "#1f5fa8", "#d9822b", "#8a8f98"
THIN = Pen(QUIET, 0.8, DOTTED)
_SHOWN_BARS = 240
"""How many of the last test rows the forecast plot shows: more is a smear."""
_BINS = 60

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
    return [canvas.save(folder / f"{name}.png") for name, canvas in drawn.items()]


def draw_history(title: str, history: Mapping[str, Sequence[float]]) -> Canvas:
    """Loss by epoch with the best one marked, and the learning rate below."""
    loss, validation, rate = (np.asarray(history[name], float) for name in ("loss", "val_loss", "learning_rate"))
    epochs = np.arange(1, len(loss) + 1)
    best = int(np.argmin(validation))
    x = linear_scale([np.array([0.5, len(epochs) + 0.5])], 9, whole=True, margin=0.0)
    losses: list[Series] = [
        Curve(epochs, loss, Pen(QUIET), "train"),
        Curve(epochs, validation, Pen(MODEL), "validation"),
        Curve(epochs[[best]], validation[[best]], Pen(OTHER), f"best: epoch {epochs[best]}", dots=6.0),
        Level(1.0, THIN, "always the train rows' mean"),
    ]
    y = linear_scale([loss, validation, np.ones(1)], 9)
    edges = np.concatenate([epochs[:1], np.repeat(epochs[:-1] + 0.5, 2), epochs[-1:]])
    rates = Curve(edges, np.repeat(rate, 2), Pen(OTHER))
    canvas, (top, bottom) = new_canvas((3, 1))
    draw_panel(
        canvas,
        Panel(top, x, y, losses, f"{title}: loss", y_name="mean squared error, scaled", x_labels=False),
    )
    draw_panel(canvas, Panel(bottom, x, log_scale([rate]), [rates], x_name="epoch", y_name="learning rate"))
    return canvas


def draw_forecast(title: str, rows: JudgedRows, time: Times, predicted: Floats) -> Canvas:
    """Forecast and actual price on the last test rows, and forecast against actual return on all of them."""
    actual, forecast = (100 * np.log(price / rows.last) for price in (rows.actual, predicted))
    ends = np.percentile(actual, [0.5, 99.5])
    points: list[Series] = [
        Curve(actual, forecast, Pen(MODEL), dots=6**0.5, alpha=0.35),
        Curve(ends, ends, THIN, "forecast = actual"),
        Level(0.0, Pen(QUIET, 0.6)),
        Level(0.0, Pen(QUIET, 0.6), upright=True),
    ]
    canvas = Canvas(11, 4.2)
    _draw_last_rows(canvas, title, _target_times(rows, time), rows.actual, predicted, ("actual close", "price"))
    x, y = linear_scale([actual, ends], 5), linear_scale([forecast, ends], 7)
    _draw_points(canvas, x, y, points, "return, %")
    return canvas


def draw_errors(title: str, rows: JudgedRows, predicted: Floats) -> Canvas:
    """The forecast's errors in percent of the price, over those of the last close."""
    own, persistence = (100 * (price / rows.actual - 1) for price in (predicted, rows.last))
    return _draw_errors(title, own, persistence, "last close", "forecast error, % of the price")


def _draw_errors(title: str, own: Floats, other: Floats, whose: str, unit: str) -> Canvas:
    reach = float(np.percentile(np.abs(np.concatenate([own, other])), 99.5)) or 1.0
    edges = np.linspace(-reach, reach, _BINS + 1)
    corners = np.concatenate([edges[:1], np.repeat(edges[1:-1], 2), edges[-1:]])
    counts = [np.histogram(np.clip(each, -reach, reach), edges)[0] for each in (own, other)]
    outlines = [np.concatenate([[0], np.repeat(each, 2), [0]]) for each in counts]
    corners = np.concatenate([edges[:1], corners, edges[-1:]])
    series = [
        Curve(corners, outlines[0], Pen(MODEL), "model", filled=True, alpha=0.6),
        Curve(corners, outlines[1], Pen(OTHER, 1.4), whose),
    ]
    most = float(max(each.max() for each in counts))
    x, y = linear_scale([edges], 9), linear_scale([np.array([0.0, 1.05 * most])], 9, margin=0.0)
    canvas, (box,) = new_canvas((1,))
    draw_panel(canvas, Panel(box, x, y, series, f"{title}: errors on {len(own):,} test rows", unit, "rows"))
    return canvas


def draw_volatility(title: str, rows: JudgedRows, time: Times, predicted: Floats) -> Canvas:
    """Forecast and actual volatility per bar on the last test rows, and one against the other on all of them."""
    actual, forecast = (100 * np.exp(logs) for logs in (rows.actual, predicted))
    ends = np.array([actual.min(), actual.max()])
    points: list[Series] = [
        Curve(actual, forecast, Pen(MODEL), dots=6**0.5, alpha=0.35),
        Curve(ends, ends, THIN, "forecast = actual"),
    ]
    canvas = Canvas(11, 4.2)
    names = "actual", "volatility per bar, %"
    _draw_last_rows(canvas, title, _target_times(rows, time), actual, forecast, names)
    x, y = log_scale([actual, ends]), log_scale([forecast, ends])
    _draw_points(canvas, x, y, points, "volatility per bar, %")
    return canvas


def _target_times(rows: JudgedRows, time: Times) -> npt.NDArray[np.datetime64]:
    """When the bars that are forecast close."""
    return _dates(time[rows.ends + rows.horizon] + rows.bar_ms)


def _draw_last_rows(
    canvas: Canvas,
    title: str,
    at: npt.NDArray[np.datetime64],
    actual: Floats,
    forecast: Floats,
    names: tuple[str, str],
) -> None:
    at, actual, forecast = at[-_SHOWN_BARS:], actual[-_SHOWN_BARS:], forecast[-_SHOWN_BARS:]
    series = [
        Curve(to_seconds(at), actual, Pen(QUIET, 1.2), names[0]),
        Curve(to_seconds(at), forecast, Pen(MODEL, 1.0), "forecast"),
    ]
    box, y = canvas.part(0.08, 0.13, 0.658, 0.91), linear_scale([actual, forecast], 8)
    title = f"{title}: last {len(at)} test rows"
    draw_panel(canvas, Panel(box, date_scale(at), y, series, title, "UTC", names[1], x_name_size=SMALL))


def _draw_points(canvas: Canvas, x: Scale, y: Scale, series: Sequence[Series], title: str) -> None:
    box = canvas.part(0.727, 0.13, 0.985, 0.91)
    draw_panel(canvas, Panel(box, x, y, series, title, "actual", "forecast", legend_size=SMALL))


def draw_volatility_errors(title: str, rows: JudgedRows, predicted: Floats) -> Canvas:
    """The logs of forecast over actual volatility, over those of persistence."""
    own, persistence = predicted - rows.actual, rows.persistence - rows.actual
    return _draw_errors(title, own, persistence, "persistence", "log of forecast over actual volatility")


def draw_equity(title: str, time: Times, trading: Trading) -> Canvas:
    """What one unit turned into after costs, and the loss from its peak below."""
    equities, drawdowns, instants = [], [], []
    for backtest, color, label in ((trading.hold, QUIET, "buy and hold"), (trading.model, MODEL, "model")):
        at = _dates(time[backtest.ends + 1])
        peaks = np.maximum.accumulate(np.concatenate([[1.0], backtest.equity]))[1:]
        lost = 100 * (backtest.equity / peaks - 1)
        gain = f"{label} {100 * (backtest.equity[-1] - 1):+.1f} %"
        equities.append(Curve(to_seconds(at), backtest.equity, Pen(color), gain))
        drawdowns.append(Curve(to_seconds(at), lost, Pen(color, 1.0)))
        instants.append(at)
    x = date_scale(np.concatenate(instants))
    y = linear_scale([*(np.asarray(each.y) for each in equities), np.ones(1)], 7)
    below = linear_scale([np.asarray(each.y) for each in drawdowns], 3)
    series: list[Series] = [*equities, Level(1.0, Pen(QUIET, 0.6, DOTTED), "what it began with")]
    canvas, (top, bottom) = new_canvas((3, 1))
    title = f"{title}: trading on the test rows, after costs"
    draw_panel(canvas, Panel(top, x, y, series, title, y_name="equity", x_labels=False))
    draw_panel(canvas, Panel(bottom, x, below, drawdowns, "", "UTC", "drawdown, %", x_name_size=SMALL))
    return canvas


def new_canvas(heights: tuple[int, ...]) -> tuple[Canvas, list[Box]]:
    """A picture with room for panels below each other, of heights in these proportions."""
    canvas = Canvas(9, 4.8)
    low, high, gap = 0.11, 0.93, 0.05
    unit = (high - low - gap * (len(heights) - 1)) / sum(heights)
    boxes = []
    for height in heights:
        boxes.append(canvas.part(0.1, high - unit * height, 0.98, high))
        high -= unit * height + gap
    return canvas, boxes


def _dates(milliseconds: Times) -> npt.NDArray[np.datetime64]:
    return milliseconds.astype("datetime64[ms]")
