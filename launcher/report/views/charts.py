"""Small SVG charts for the run's page, drawn from numbers alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 300, 120
_PAD = 4
_ROW = 26
"""Room for a label above and below the lines."""
_POINTS = 120
_AXIS = 240
"""Units of a row's width; a row is 16 high."""
_LABEL = 16
"""Room at each end for half a label."""


@dataclass(frozen=True)
class Band:
    """A band between two curves, drawn behind the lines of the same length."""

    name: str
    lower: Sequence[float]
    upper: Sequence[float]


def line_chart(
    title: str,
    lines: Mapping[str, Sequence[float]],
    *,
    ends: tuple[str, str] = ("", ""),
    band: Band | None = None,
) -> str:
    """Lines over their index on one labelled scale, each with its last value; empty text where there is nothing to
    draw. ``ends`` are the labels of the first and the last index."""
    drawn = {name: _thin(values) for name, values in lines.items() if len(values) > 1}
    if not drawn:
        return ""
    edges = [_thin(band.lower), _thin(band.upper)] if band is not None and len(band.lower) > 1 else []
    low = min(min(values) for values in (*drawn.values(), *edges))
    high = max(max(values) for values in (*drawn.values(), *edges))

    def points(values: Sequence[float]) -> list[str]:
        return [
            f"{_place(index, 0, len(values) - 1, WIDTH):.0f},{HEIGHT - _place(value, low, high, HEIGHT, _ROW):.0f}"
            for index, value in enumerate(values)
        ]

    paths, words = [], []
    if band is not None and edges:
        outline = " ".join([*points(edges[0]), *reversed(points(edges[1]))])
        paths.append(f'<polygon class="band" points="{outline}"/>')
        words.append(f'<span class="keyband">{escape(band.name)}</span>')
    for number, (name, values) in enumerate(drawn.items()):
        paths.append(f'<polyline class="line{number}" points="{" ".join(points(values))}"/>')
        words.append(f'<span class="key{number}">{escape(name)} {values[-1]:.4g}</span>')
    texts = [f'<text x="{_PAD}" y="10">{high:.4g}</text>', f'<text x="{_PAD}" y="{HEIGHT - 14}">{low:.4g}</text>']
    texts += [f'<text x="{_PAD}" y="{HEIGHT - 3}">{escape(ends[0])}</text>'] if ends[0] else []
    last = f'<text x="{WIDTH - _PAD}" y="{HEIGHT - 3}" text-anchor="end">{escape(ends[1])}</text>'
    texts += [last] if ends[1] else []
    label = f"{title}: {', '.join(drawn)}, from {low:.4g} to {high:.4g}"
    return (
        f"<figure><figcaption>{escape(title)} {' '.join(words)}</figcaption>"
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">{"".join(paths + texts)}</svg>'
        "</figure>"
    )


def _thin(values: Sequence[float]) -> list[float]:
    """Evenly chosen values, the first and the last among them: more than a chart has columns can't be seen."""
    if len(values) <= _POINTS:
        return list(values)
    return [values[round(number * (len(values) - 1) / (_POINTS - 1))] for number in range(_POINTS)]


@dataclass(frozen=True)
class Skill:
    """A model's skill, the lower end of its interval if known, and the best other baseline's skill if there is one."""

    skill: float
    low: float | None = None
    baseline: float | None = None

    @property
    def high(self) -> float | None:
        """The upper end: as far above the skill as ``low`` is below."""
        return None if self.low is None else 2 * self.skill - self.low


@dataclass(frozen=True)
class SkillAxis:
    """One axis for all models of a run, with 0 on it. ``clipped``: some values lie beyond it."""

    low: float
    high: float
    step: float
    clipped: bool

    def head(self) -> str:
        """The axis itself: ticks with their values, 0 marked."""
        ticks = [self.step * n for n in range(math.ceil(self.low / self.step), math.floor(self.high / self.step) + 1)]
        drawn = "".join(
            f'<line class="{"zero" if tick == 0 else "grid"}" x1="{self._x(tick):.1f}" x2="{self._x(tick):.1f}" '
            f'y1="14" y2="20"/><text x="{self._x(tick):.1f}" y="10" text-anchor="middle">{tick:+g}</text>'
            for tick in (round(each, 12) + 0.0 for each in ticks)
        ).replace(">+0<", ">0<")
        label = f"axis of skill from {self.low:+.3g} to {self.high:+.3g}"
        return f'<svg viewBox="0 0 {_AXIS} 20" role="img" aria-label="{label}">{drawn}</svg>'

    def row(self, one: Skill, tick: str = "best baseline") -> str:
        """A model's dot and whiskers, and a tick beside them, whose name is ``tick``."""
        parts = [f'<line class="zero" x1="{self._x(0):.1f}" x2="{self._x(0):.1f}" y1="0" y2="16"/>']
        words = f"skill {one.skill:+.4f}"
        if one.low is not None and one.high is not None:
            parts.append(
                f'<line class="whisker" x1="{self._x(one.low):.1f}" x2="{self._x(one.high):.1f}" y1="8" y2="8"/>'
            )
            words += f", from {one.low:+.4f} to {one.high:+.4f}"
        if one.baseline is not None:
            x = self._x(one.baseline)
            parts.append(f'<line class="tick" x1="{x:.1f}" x2="{x:.1f}" y1="3" y2="13"/>')
            words += f", {tick} {one.baseline:+.4f}"
        if self.low <= one.skill <= self.high:
            parts.append(f'<circle class="dot" cx="{self._x(one.skill):.1f}" cy="8" r="3.5"/>')
        else:
            tip, back = (1, 7) if one.skill < self.low else (_AXIS - 1, _AXIS - 7)
            parts.append(f'<polygon class="beyond" points="{tip},8 {back},4 {back},12"/>')
        return f'<svg viewBox="0 0 {_AXIS} 16" role="img" aria-label="{words}">{"".join(parts)}</svg>'

    def _x(self, value: float) -> float:
        return _place(min(max(value, self.low), self.high), self.low, self.high, _AXIS, pad=_LABEL)


def make_axis(models: Iterable[Skill]) -> SkillAxis | None:
    """An axis that shows nineteen in twenty of the intervals whole; None where there is no model."""
    known = [[end for end in (one.skill, one.low, one.high, one.baseline) if end is not None] for one in models]
    if not known:
        return None
    lows, highs = sorted(min(ends) for ends in known), sorted((max(ends) for ends in known), reverse=True)
    cut = len(known) // 20
    low, high = min(lows[cut], 0.0), max(highs[cut], 0.0)
    step = nice_step((high - low) / 4 or 0.01)
    low, high = step * math.floor(low / step), step * math.ceil(high / step) or step
    return SkillAxis(low, high, step, lows[0] < low or highs[0] > high)


def nice_step(size: float) -> float:
    """The next of 1, 2, 5, 10 … in any power of ten."""
    power = 10.0 ** math.floor(math.log10(size))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= size * (1 - 1e-9))


def _place(value: float, low: float, high: float, size: int, pad: int = _PAD) -> float:
    share = (value - low) / (high - low) if high > low else 0.5
    return pad + share * (size - 2 * pad)
