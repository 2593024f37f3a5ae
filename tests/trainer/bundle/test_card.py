from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from atb.documents.evaluation import BacktestSummary, Evaluation
from atb.documents.export import ExportedFile, ExportSummary
from atb.registry.gate import check_candidate
from tests.atb.registry.candidates import GOOD, NOISE, NOTHING, NOW, make_result
from tests.trainer.export.test_export import export
from tests.trainer.export.trained import make_bars, make_fitted
from trainer.bundle.card import write_card
from trainer.features.sets import feature_set


def test_the_card_shows_every_number_beside_the_baselines() -> None:
    card = write_card(make_result())
    assert card.startswith("# BTCUSDT 1h fast\n")
    assert "|  | model | persistence | linear |" in card
    assert "| Skill over the last close | +0.2000 | +0.0000 | -0.0100 |" in card
    assert "digest" in card.lower()


def test_the_card_says_first_whether_the_model_is_worth_anything() -> None:
    assert "more than noise would show" in write_card(make_result())
    assert "no better than the last close" in write_card(make_result(metrics=NOISE))
    assert "noise could show too" in write_card(make_result(metrics=GOOD | {"skill_low": -0.1}))


def test_made_up_bars_are_reported_at_the_top() -> None:
    result = make_result()
    synthetic = result.model_copy(update={"bars": result.bars.model_copy(update={"synthetic": True})})
    assert "Made-up bars" in write_card(synthetic).split("##")[0]


def test_the_gate_is_on_the_card() -> None:
    result = make_result(metrics=NOISE)
    card = write_card(result.model_copy(update={"gate": check_candidate(result, None, NOTHING)}))
    assert "## Gate: not passed" in card
    assert "- ✗ skill-shown 1 (bound 20)" in card


def test_a_result_with_few_numbers_has_a_card_too() -> None:
    nothing = {"metrics": {}, "evaluation": Evaluation(), "backtest": BacktestSummary(), "baselines": {}}
    bare = make_result().model_copy(update=nothing)
    assert "## Load it" in write_card(bare)


def code_of(card: str) -> str:
    return card.split("```python\n")[1].split("```")[0]


def with_features(name: str, columns: tuple[str, ...], from_bars: ExportedFile) -> str:
    result = make_result()
    features = result.features.model_copy(update={"columns": columns})
    spec = result.spec.model_copy(update={"features": name})
    export = ExportSummary(from_bars=from_bars)
    return code_of(write_card(result.model_copy(update={"features": features, "spec": spec, "export": export})))


def test_loading_says_what_the_model_reads() -> None:
    code = with_features("classic", ("close",), ExportedFile(rows=378))
    assert "float64 [batch, 378, 5]" in code
    assert 'session.run(names, {"bars": bars})' in code
    compile(code, "card", "exec")


def test_the_snippet_takes_extra_columns_and_the_last_close_where_the_model_does() -> None:
    code = with_features("classic,+basis", ("close", "basis"), ExportedFile(rows=378))
    assert '{"bars": bars, "extra": extra}' in code
    code = with_features("relative", ("body",), ExportedFile(skipped="too short"))
    assert '{"features": features, "last_close": last_close}' in code


@pytest.mark.parametrize("features", ["relative", "volatility"])
def test_loading_runs_when_it_is_pasted_in_the_bundle_s_folder(features: str, tmp_path: Path) -> None:
    target = "volatility" if features == "volatility" else "return"
    exported = export(make_fitted("fast", features, make_bars(700, 1.0), target=target), tmp_path)
    for drop in (False, True):
        found = exported.model_copy(update={"from_bars": ExportedFile(skipped="too short")}) if drop else exported
        result = make_result(options={"features": features, "target": target, "sequence_length": 24})
        columns = feature_set(features).columns
        part = result.features.model_copy(update={"columns": columns})
        code = code_of(write_card(result.model_copy(update={"features": part, "export": found})))
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "'lower': array([[" in done.stdout
        assert "nan" not in done.stdout


def test_the_windows_of_fitting_choosing_and_judging_stand_apart() -> None:
    result = make_result()
    split = result.split.model_copy(update={"validation_from": NOW - timedelta(days=9), "test_from": NOW})
    card = write_card(result.model_copy(update={"split": split}))
    rows = [
        line.split(" | ") for line in card.splitlines() if line.startswith(("| train |", "| validation |", "| test |"))
    ]
    assert [row[1:3] for row in rows] == [
        [f"{result.spec.start:%Y-%m-%d %H:%M}", "2026-01-22 06:00"],
        ["2026-01-22 06:00", "2026-01-31 06:00"],
        ["2026-01-31 06:00", f"{result.spec.as_of:%Y-%m-%d %H:%M}"],
    ]
    assert "| train and validation |" in write_card(make_result())
