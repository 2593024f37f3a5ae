"""The picture of a comparison of presets."""

from __future__ import annotations

from collections.abc import Iterator

from matplotlib.figure import Figure

from atb.comparison import LINEAR, OVER, results_of, stage_names, stage_seconds
from atb.documents.comparison import Comparison
from trainer.bundle.charts import MODEL, OTHER, QUIET


def draw_comparison(comparison: Comparison) -> Figure:
    """Stage times stacked by preset, and each symbol's skill by preset."""
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    names = stage_names(comparison)
    positions = list(range(len(comparison.presets)))
    floor = [0.0] * len(positions)
    shades = _shades(len(names))
    for name, shade in zip(names, shades, strict=True):
        seconds = [stage_seconds(comparison, preset, name) for preset in comparison.presets]
        left.bar(positions, seconds, bottom=floor, color=shade, label=name, width=0.6)
        floor = [low + more for low, more in zip(floor, seconds, strict=True)]
    left.set_title("seconds by stage", loc="left", fontsize=11)
    left.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    for position, preset in zip(positions, comparison.presets, strict=True):
        skills = [each.metrics["skill"] for each in results_of(comparison, preset)]
        linear = [each.baselines[LINEAR[comparison.target][0]]["skill"] for each in results_of(comparison, preset)]
        right.plot([position - 0.1] * len(skills), skills, "o", color=MODEL, alpha=0.7, markersize=5)
        right.plot([position + 0.1] * len(linear), linear, "_", color=OTHER, markersize=10)
    right.plot([], [], "o", color=MODEL, label="model")
    right.plot([], [], "_", color=OTHER, label=LINEAR[comparison.target][1])
    right.axhline(0, color=QUIET, linewidth=0.8)
    right.set_title(f"skill over {OVER[comparison.target]}, by symbol", loc="left", fontsize=11)
    right.legend(frameon=False, fontsize=8, loc="upper left")
    for axes in (left, right):
        axes.set_xticks(positions, comparison.presets)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_xlim(-0.6, len(positions) - 0.4)
    return figure


def _shades(count: int) -> Iterator[tuple[float, float, float]]:
    """Blues from dark to light."""
    for index in range(count):
        share = index / max(1, count - 1)
        yield 0.12 + 0.66 * share, 0.37 + 0.47 * share, 0.66 + 0.27 * share
