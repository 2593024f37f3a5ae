from __future__ import annotations

import json
from typing import Any

import pytest

from atb.comparison import error_share, quality_table, stage_table, symbol_table
from atb.documents.comparison import Comparison, PresetResult
from atb.documents.result import TOTAL_STAGE, StageTime
from atb.errors import Unreadable
from tests.atb.registry.candidates import NOW


def trained(symbol: str, preset: str, seconds: float, error: float) -> PresetResult:
    return PresetResult(
        symbol=symbol,
        preset=preset,
        job=f"{symbol}-{preset}",
        device="CPU",
        epochs=3,
        parameters=10,
        stages=tuple(
            StageTime(name=name, seconds=spent)
            for name, spent in (("bars", 1.0), ("fit", seconds), (TOTAL_STAGE, 1.0 + seconds))
        ),
        validation_loss=error,
        peak_memory_bytes=850_000_000,
        metrics={"rmse": 100 * error, "mape": error, "skill": 0.01, "directional_accuracy": 0.52},
        baselines={"linear": {"skill": 0.002, "directional_accuracy": 0.51}},
    )


def comparison(*each: PresetResult) -> Comparison:
    presets = tuple(dict.fromkeys(one.preset for one in each))
    rows = {one.symbol: 400 for one in each}
    return Comparison(run="c", created=NOW, presets=presets, seed=42, features="classic", rows=rows, trained=each)


BOTH = comparison(
    trained("A", "fast", 9, 1.04),
    trained("A", "legacy", 39, 1.0),
    trained("B", "fast", 9, 2.0),
    trained("B", "legacy", 39, 2.08),
)


def cells(table: list[tuple[str, ...]], label: str) -> tuple[str, ...]:
    return next(row[1:] for row in table if row[0] == label)


def test_stage_times_are_summed_with_totals_and_the_speed_up() -> None:
    table = stage_table(BOTH)
    assert table[0] == ("stage, seconds", "fast", "legacy")
    assert cells(table, "fit") == ("18.0", "78.0")
    assert cells(table, "total") == ("20.0", "80.0")
    assert cells(table, "speed-up over legacy") == ("4.00 ×", "1.00 ×")


def test_errors_are_a_share_of_legacy_s_over_all_symbols() -> None:
    assert error_share(BOTH, "fast", "rmse") == pytest.approx(1.0)
    table = quality_table(BOTH)
    assert cells(table, "RMSE, % of legacy's (lower is better)") == ("100.0%", "100.0%")
    assert cells(table, "within 5%") == ("yes", "yes")
    assert cells(table, "skill of the linear baseline") == ("+0.0020", "+0.0020")


def test_a_larger_error_is_a_larger_share() -> None:
    worse = comparison(trained("A", "fast", 1, 1.004), trained("A", "legacy", 1, 1.0))
    assert cells(quality_table(worse), "RMSE, % of legacy's (lower is better)") == ("100.4%", "100.0%")


def test_memory_is_the_highest_peak_of_any_symbol() -> None:
    assert cells(stage_table(BOTH), "peak memory, MB") == ("850", "850")


@pytest.mark.parametrize(("error", "verdict"), [(1.05, "yes"), (1.06, "no"), (0.5, "yes")])
def test_five_percent_less_quality_is_the_bound(error: float, verdict: str) -> None:
    table = quality_table(comparison(trained("A", "fast", 1, error), trained("A", "legacy", 1, 1.0)))
    assert cells(table, "within 5%")[0] == verdict


def test_each_symbol_has_its_skill_and_direction_beside_the_baseline_s() -> None:
    head, *rows = symbol_table(comparison(trained("A", "fast", 9, 1.0), trained("A", "legacy", 9, 1.0)))
    assert head[:5] == ("symbol", "fast skill", "fast direction", "legacy skill", "legacy direction")
    assert rows == [
        ("A", "+0.0100", "52.0%", "+0.0100", "52.0%", "+0.0020", "51.0%", "45.1% … 54.9%"),
    ]


def test_without_legacy_there_are_numbers_and_no_shares() -> None:
    alone = comparison(trained("A", "fast", 1, 1.0))
    assert "within 5%" not in [row[0] for row in quality_table(alone)]
    assert [row[0] for row in stage_table(alone)][-2:] == ["total", "peak memory, MB"]


@pytest.mark.parametrize(
    "change",
    [
        {"trained": []},
        {"presets": ["fast", "legacy", "quality"]},
        {"rows": {"A": 400, "C": 400}},
        {"rows": {"A": 0, "B": 400}},
        {"target": "volume"},
        {"target": "volatility"},
        {"baselines": {}},
        {"metrics": {"skill": 0.1}},
        {"validation_loss": 0.0},
        {"stages": []},
    ],
)
def test_a_comparison_that_no_table_can_be_made_of_is_refused(change: dict[str, Any]) -> None:
    fields = json.loads(BOTH.to_bytes())
    del fields["content_sha256"]
    (fields if change.keys() & fields.keys() else fields["trained"][0]).update(change)
    with pytest.raises(Unreadable, match=r"^runs/c/comparison\.json is not a valid comparison: "):
        Comparison.from_bytes(json.dumps(fields), "runs/c/comparison.json")
