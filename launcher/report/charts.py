"""Small SVG pictures for the run's page, drawn from numbers alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 300, 90
_PAD = 4


def line_chart(title: str, lines: Mapping[str, Sequence[float]]) -> str:
    """Lines over their index on one scale, each with its last value; empty text where there is nothing to draw."""
    drawn = {name: list(values) for name, values in lines.items() if len(values) > 1}
    if not drawn:
        return ""
    low = min(min(values) for values in drawn.values())
    high = max(max(values) for values in drawn.values())
    paths, words = [], []
    for number, (name, values) in enumerate(drawn.items()):
        points = " ".join(
            f"{_place(index, 0, len(values) - 1, WIDTH):.1f},{HEIGHT - _place(value, low, high, HEIGHT):.1f}"
            for index, value in enumerate(values)
        )
        paths.append(f'<polyline class="line{number}" points="{points}"/>')
        words.append(f'<span class="key{number}">{escape(name)} {values[-1]:.4g}</span>')
    label = f"{title}: {', '.join(drawn)}"
    return (
        f"<figure><figcaption>{escape(title)} {' '.join(words)}</figcaption>"
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">{"".join(paths)}</svg></figure>'
    )


def skill_bar(skill: float, reach: float) -> str:
    """A bar from the middle: to the right for skill, to the left for less than none. ``reach`` fills half."""
    share = max(-1.0, min(1.0, skill / reach)) if reach > 0 else 0.0
    left, width = (50, 50 * share) if share >= 0 else (50 + 50 * share, -50 * share)
    kind = "good" if share > 0 else "bad"
    return f'<span class="bar"><i class="{kind}" style="left:{left:.1f}%;width:{width:.1f}%"></i></span>'


def _place(value: float, low: float, high: float, size: int) -> float:
    share = (value - low) / (high - low) if high > low else 0.5
    return _PAD + share * (size - 2 * _PAD)
