"""One chart of a picture: series over two scales, with ticks, labels, a title and a legend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainer.bundle.canvas import SMALL, TEXT, TITLE, Box, Canvas, Pen, to_pixels
from trainer.bundle.scales import Scale, Values

_FRAME, _GRID = Pen("black", 0.8), Pen("#e6e8eb", 0.6)
_TICK, _PAD = to_pixels(3.5), to_pixels(4.0)
_CAP = 0.73
"""The height of a capital letter or a digit, as a share of the font's size."""


@dataclass(frozen=True)
class Curve:
    """A line through ``x`` and ``y``. Where ``dots`` is above 0, a dot of that diameter, in points, at each place
    instead; ``filled``: the area inside the line instead; ``alpha``: the opacity of dots and areas."""

    x: npt.ArrayLike
    y: npt.ArrayLike
    pen: Pen
    label: str = ""
    dots: float = 0.0
    filled: bool = False
    alpha: float = 1.0


@dataclass(frozen=True)
class Level:
    """A line at one value of the vertical axis, or of the horizontal one where ``upright``."""

    at: float
    pen: Pen
    label: str = ""
    upright: bool = False


Series = Curve | Level


@dataclass(frozen=True)
class Panel:
    """What a chart shows and where. ``x_name`` is small below dates, and a panel above another one with the same
    scale has no ``x_labels``."""

    box: Box
    x: Scale
    y: Scale
    series: Sequence[Series]
    title: str = ""
    x_name: str = ""
    y_name: str = ""
    x_labels: bool = True
    x_name_size: float = TEXT
    legend_size: float = TEXT


def draw_panel(canvas: Canvas, panel: Panel) -> None:
    """Grid first, then the series in their order, the frame, and all text."""
    across, up = _across(panel, panel.x.ticks).tolist(), _up(panel, panel.y.ticks).tolist()
    box = panel.box
    for at in across:
        canvas.line(np.array([[at, box.bottom], [at, box.top]]), _GRID, sharp=True)
    for at in up:
        canvas.line(np.array([[box.left, at], [box.right, at]]), _GRID, sharp=True)
    for each in panel.series:
        _draw_series(canvas, panel, each)
    frame = np.array([[box.left, box.top], [box.left, box.bottom], [box.right, box.bottom]])
    canvas.line(frame, _FRAME, sharp=True)
    _draw_labels(canvas, panel, across, up)
    _draw_legend(canvas, panel)


def _across(panel: Panel, values: npt.ArrayLike) -> Values:
    """Where values of the horizontal axis lie, in pixels."""
    return panel.box.left + (panel.box.right - panel.box.left) * panel.x.place(values)


def _up(panel: Panel, values: npt.ArrayLike) -> Values:
    """Where values of the vertical axis lie, in pixels."""
    return panel.box.bottom + (panel.box.top - panel.box.bottom) * panel.y.place(values)


def _draw_series(canvas: Canvas, panel: Panel, series: Series) -> None:
    box = panel.box
    if isinstance(series, Level):
        if series.upright:
            at = float(_across(panel, series.at))
            canvas.line(np.array([[at, box.bottom], [at, box.top]]), series.pen, box)
        else:
            at = float(_up(panel, series.at))
            canvas.line(np.array([[box.left, at], [box.right, at]]), series.pen, box)
        return
    points = np.column_stack([_across(panel, series.x), _up(panel, series.y)])
    if series.filled:
        canvas.area(points, series.pen.color, series.alpha, box)
    elif series.dots:
        canvas.dots(points, series.dots, series.pen.color, series.alpha)
    else:
        canvas.line(points, series.pen, box)


def _draw_labels(canvas: Canvas, panel: Panel, across: list[float], up: list[float]) -> None:
    box, half = panel.box, to_pixels(TEXT) * _CAP / 2
    left, widest = box.left - _TICK - _PAD, 0.0
    for at, label in zip(up, panel.y.labels, strict=True):
        canvas.line(np.array([[box.left - _TICK, at], [box.left, at]]), _FRAME, sharp=True)
        widest = max(widest, canvas.text(left, at - half, label, "right"))
    canvas.text(left - widest - 2 * _PAD, (box.bottom + box.top) / 2, panel.y_name, "center", angle=90)
    canvas.text(box.left, box.top + to_pixels(3), panel.y.note, size=SMALL)
    for at in across:
        canvas.line(np.array([[at, box.bottom - _TICK], [at, box.bottom]]), _FRAME, sharp=True)
    if panel.x_labels:
        below = box.bottom - _TICK - _PAD - to_pixels(TEXT) * _CAP
        for at, label in zip(across, panel.x.labels, strict=True):
            canvas.text(at, below, label, "center")
        below -= 2 * _PAD + to_pixels(panel.x_name_size) * _CAP
        canvas.text((box.left + box.right) / 2, below, panel.x_name, "center", panel.x_name_size)
    canvas.text(box.left + (to_pixels(40) if panel.y.note else 0), box.top + to_pixels(6), panel.title, size=TITLE)


def _draw_legend(canvas: Canvas, panel: Panel) -> None:
    """Each label beside a piece of what it names, at the top: on the left, or where the curves leave more room."""
    named = [series for series in panel.series if series.label]
    if not named:
        return
    box, unit = panel.box, to_pixels(panel.legend_size)
    piece, gap = 2 * unit, 0.8 * unit
    left = box.left + 0.9 * unit
    if _crowd(panel, 0.0, 0.4) > _crowd(panel, 0.6, 1.0):
        widest = max(canvas.width_of(series.label, panel.legend_size) for series in named)
        left = box.right - 0.9 * unit - piece - gap - widest
    for number, series in enumerate(named):
        base = box.top - 1.75 * unit - 1.6 * unit * number
        middle = base + _CAP / 2 * unit
        ends = np.array([[left, middle], [left + piece, middle]])
        if isinstance(series, Curve) and series.filled:
            right, top = left + piece, base + _CAP * unit
            corners = np.array([[left, base], [right, base], [right, top], [left, top]])
            canvas.area(corners, series.pen.color, series.alpha)
        elif isinstance(series, Curve) and series.dots:
            canvas.dots(ends.mean(axis=0, keepdims=True), series.dots, series.pen.color, series.alpha)
        else:
            canvas.line(ends, series.pen)
        canvas.text(left + piece + gap, base, series.label, size=panel.legend_size)


def _crowd(panel: Panel, begin: float, end: float) -> int:
    """How many points of the curves lie in the upper third of this part of the panel's width."""
    curves = [series for series in panel.series if isinstance(series, Curve)]
    places = [(panel.x.place(curve.x), panel.y.place(curve.y)) for curve in curves]
    return sum(int(((across >= begin) & (across <= end) & (up > 2 / 3)).sum()) for across, up in places)
