"""A chart of one number over the runs of a store, with labelled axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape

from launcher.report.views.charts import nice_step

WIDTH, HEIGHT = 420, 150
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 10, 8, 20


@dataclass(frozen=True)
class Point:
    """A run's value; ``name`` is the run."""

    at: datetime
    value: float
    name: str


def trend_chart(title: str, points: Sequence[Point], form: str, *, whole: bool = False) -> str:
    """A dot for each run, joined in order of time, on an axis that has 0; empty text for fewer than two runs.
    ``whole``: the values are counts."""
    known = [point for point in points if math.isfinite(point.value)]
    if len(known) < 2:
        return ""
    low, high = min(0.0, *(point.value for point in known)), max(0.0, *(point.value for point in known))
    step = nice_step((high - low) / 4 or 1.0)
    step = max(step, 1.0) if whole else step
    low, high = step * math.floor(low / step + 1e-9), step * math.ceil(high / step - 1e-9) or step
    first, last = known[0].at.timestamp(), known[-1].at.timestamp()

    def x(point: Point) -> float:
        share = (point.at.timestamp() - first) / (last - first) if last > first else 0.5
        return _LEFT + share * (WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return _TOP + (high - value) / (high - low) * (HEIGHT - _TOP - _BOTTOM)

    ticks = [low + step * number for number in range(round((high - low) / step) + 1)]
    grid = "".join(
        f'<line class="{"zero" if abs(tick) < step / 1e6 else "grid"}" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" '
        f'y1="{y(tick):.0f}" y2="{y(tick):.0f}"/>'
        f'<text x="{_LEFT - 5}" y="{y(tick) + 3:.0f}" text-anchor="end">{_label(tick, form)}</text>'
        for tick in (round(each, 12) for each in ticks)
    )
    ends = ((known[0], "start"), (known[-1], "end"))
    dates = "".join(
        f'<text x="{x(point):.0f}" y="{HEIGHT - 5}" text-anchor="{anchor}">{point.at:%Y-%m-%d}</text>'
        for point, anchor in ends
    )
    line = " ".join(f"{x(point):.0f},{y(point.value):.0f}" for point in known)
    dots = "".join(
        f'<circle class="dot" cx="{x(point):.0f}" cy="{y(point.value):.0f}" r="3">'
        f"<title>{escape(point.name)}: {format(point.value, form)}</title></circle>"
        for point in known
    )
    spoken = (
        f"{title}: {len(known)} runs, {format(known[0].value, form)} first and {format(known[-1].value, form)} last"
    )
    return (
        f'<figure class="trend"><figcaption>{escape(title)}</figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(spoken)}">{grid}{dates}'
        f'<polyline class="line0" points="{line}"/>{dots}</svg></figure>'
    )


def _label(tick: float, form: str) -> str:
    return "0%" if form.endswith("%") and tick == 0 else "0" if tick == 0 else format(tick, form)
