"""The published tables of a comparison of presets: seconds, errors beside legacy's, and each symbol's skill."""

from __future__ import annotations

import math
from collections.abc import Sequence

from atb.documents.comparison import Comparison, PresetResult
from atb.documents.result import TOTAL_STAGE

REFERENCE = "legacy"
TOLERANCE = 0.05
"""The published rule is at least 95 % of the reference quality: errors of at most 1/0.95 of its errors."""
QUALITIES = {
    "return": (("validation_loss", "validation loss"), ("rmse", "RMSE"), ("mape", "MAPE")),
    "volatility": (("validation_loss", "validation loss"), ("rmse", "RMSE"), ("mae", "MAE")),
}
LINEAR = {"return": ("linear", "linear baseline"), "volatility": ("har", "HAR baseline")}
"""The baseline that every table shows, by target: its name, and what it is called."""
OVER = {"return": "the last close", "volatility": "persistence"}
"""What a skill of 0 is as good as."""

Row = tuple[str, ...]


def stage_table(comparison: Comparison) -> list[Row]:
    """Seconds by stage and preset, summed over the symbols, with totals, speed-up over the reference, and memory."""
    table: list[Row] = [("stage, seconds", *comparison.presets)]
    table += [
        (name, *(f"{stage_seconds(comparison, preset, name):.1f}" for preset in comparison.presets))
        for name in (*stage_names(comparison), TOTAL_STAGE)
    ]
    totals = {preset: stage_seconds(comparison, preset, TOTAL_STAGE) for preset in comparison.presets}
    if REFERENCE in totals:
        shares = (f"{totals[REFERENCE] / totals[preset]:.2f} ×" for preset in comparison.presets)
        table.append((f"speed-up over {REFERENCE}", *shares))
    peaks = {
        preset: max(each.peak_memory_bytes for each in results_of(comparison, preset)) for preset in comparison.presets
    }
    if all(peaks.values()):
        table.append(("peak memory, MB", *(f"{peak / 1e6:,.0f}" for peak in peaks.values())))
    return table


def quality_table(comparison: Comparison) -> list[Row]:
    """Each preset's errors as a share of the reference's, the mean over symbols, with the verdict; beside it the
    skill over persistence and the baselines', without which a share says little. Lower errors are better."""
    table: list[Row] = [("quality", *comparison.presets)]
    if REFERENCE in comparison.presets:
        for name, label in QUALITIES[comparison.target]:
            shares = [error_share(comparison, preset, name) for preset in comparison.presets]
            table.append((f"{label}, % of {REFERENCE}'s (lower is better)", *(f"{share:.1%}" for share in shares)))
        table.append((f"within {TOLERANCE:.0%}", *(_verdict(comparison, preset) for preset in comparison.presets)))
    for name, label, form in (
        ("skill", f"skill over {OVER[comparison.target]}", "+.4f"),
        ("directional_accuracy", "directional accuracy", ".1%"),
        ("r2", "R²", ".4f"),
    ):
        if any(name not in each.metrics for each in comparison.trained):
            continue
        means = (
            _mean([each.metrics[name] for each in results_of(comparison, preset)]) for preset in comparison.presets
        )
        table.append((label, *(format(mean, form) for mean in means)))
    name, label = LINEAR[comparison.target]
    linear = (
        _mean([each.baselines[name]["skill"] for each in results_of(comparison, preset)])
        for preset in comparison.presets
    )
    table.append((f"skill of the {label}", *(f"{mean:+.4f}" for mean in linear)))
    best = (_mean([_best_skill(each) for each in results_of(comparison, preset)]) for preset in comparison.presets)
    table.append(("skill of the best baseline", *(f"{mean:+.4f}" for mean in best)))
    return table


def symbol_table(comparison: Comparison) -> list[Row]:
    """Each symbol's skill and directional accuracy by preset, with the linear baseline's and how far noise reaches; of
    volatility its skill and QLIKE, with HAR's and the best baseline's."""
    if comparison.target == "volatility":
        return _volatility_table(comparison)
    head = [f"{preset} {what}" for preset in comparison.presets for what in ("skill", "direction")]
    table: list[Row] = [("symbol", *head, "linear skill", "direction", "a coin's 95 %")]
    for symbol in comparison.rows:
        of_symbol = [each for each in comparison.trained if each.symbol == symbol]
        cells = [
            text
            for each in of_symbol
            for text in (f"{each.metrics['skill']:+.4f}", f"{each.metrics['directional_accuracy']:.1%}")
        ]
        linear = of_symbol[0].baselines["linear"]
        reach = 0.98 / math.sqrt(comparison.rows[symbol])
        table.append(
            (
                symbol,
                *cells,
                f"{linear['skill']:+.4f}",
                f"{linear['directional_accuracy']:.1%}",
                f"{0.5 - reach:.1%} … {0.5 + reach:.1%}",
            )
        )
    return table


def _volatility_table(comparison: Comparison) -> list[Row]:
    head = [f"{preset} {what}" for preset in comparison.presets for what in ("skill", "QLIKE")]
    table: list[Row] = [("symbol", *head, "HAR skill", "QLIKE", "best baseline")]
    for symbol in comparison.rows:
        of_symbol = [each for each in comparison.trained if each.symbol == symbol]
        measured = [*(each.metrics for each in of_symbol), of_symbol[0].baselines["har"]]
        cells = [text for each in measured for text in (f"{each['skill']:+.4f}", f"{each['qlike']:.4f}")]
        table.append((symbol, *cells, f"{_best_skill(of_symbol[0]):+.4f}"))
    return table


def _best_skill(result: PresetResult) -> float:
    return max(metrics["skill"] for metrics in result.baselines.values())


def error_share(comparison: Comparison, preset: str, name: str) -> float:
    """The preset's error over the reference's: 1 is as good, below is better; the geometric mean over symbols."""
    reference = {each.symbol: _error(each, name) for each in results_of(comparison, REFERENCE)}
    return math.exp(
        _mean([math.log(_error(each, name) / reference[each.symbol]) for each in results_of(comparison, preset)])
    )


def results_of(comparison: Comparison, preset: str) -> list[PresetResult]:
    """A preset's results, one per symbol."""
    return [each for each in comparison.trained if each.preset == preset]


def stage_names(comparison: Comparison) -> list[str]:
    """The stages of the trainings, in their order, without the total."""
    names = dict.fromkeys(stage.name for each in comparison.trained for stage in each.stages)
    return [name for name in names if name != TOTAL_STAGE]


def stage_seconds(comparison: Comparison, preset: str, name: str) -> float:
    """What a preset took in a stage, over all symbols."""
    return sum(stage.seconds for each in results_of(comparison, preset) for stage in each.stages if stage.name == name)


def _error(trained: PresetResult, name: str) -> float:
    return trained.validation_loss if name == "validation_loss" else trained.metrics[name]


def _verdict(comparison: Comparison, preset: str) -> str:
    shares = [error_share(comparison, preset, name) for name, _ in QUALITIES[comparison.target]]
    return "yes" if max(shares) <= 1 / (1 - TOLERANCE) else "no"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
