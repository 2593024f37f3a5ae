"""Documents as an earlier version wrote them, kept as files: they can be read as long as the major version stands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from atb.contract import bundle
from atb.documents.attempt import ExitReport, Progress
from atb.documents.champion import Champion, HistoryEntry
from atb.documents.evaluation import ChampionComparison, Evaluation, NotCompared
from atb.documents.manifest import Manifest
from atb.documents.plan import Plan
from atb.documents.result import Result, ResultPointer
from atb.registry.gate import check_candidate
from atb.schema import Document

FOLDER = Path(__file__).with_name("schema_1_0")
KINDS: tuple[type[Document], ...] = (
    Champion, ExitReport, HistoryEntry, Manifest, Plan, Progress, Result, ResultPointer,
)  # fmt: skip


LEFT_OUT = {"schema_version", "cached"}
"""What is written anew, and what nothing reads any more: whether features came from a cache."""


def read_old(kind: type[Document]) -> bytes:
    return (FOLDER / f"{kind.kind}.json").read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_a_document_of_schema_1_0_is_read_with_everything_in_it(kind: type[Document]) -> None:
    old = read_old(kind)
    assert holds(json.loads(kind.from_bytes(old, "old").to_bytes()), json.loads(old))


def holds(new: object, old: object) -> bool:
    """Whether ``new`` contains everything in ``old``, and perhaps more."""
    if isinstance(old, dict) and isinstance(new, dict):
        return all(holds(new.get(name), value) for name, value in old.items() if name not in LEFT_OUT)
    if isinstance(old, list) and isinstance(new, list):
        return len(new) == len(old) and all(map(holds, new, old))
    return new == old


def test_an_older_result_has_its_evaluation_backtest_and_export() -> None:
    result = Result.from_bytes(read_old(Result), "old")
    assert isinstance(result.evaluation.champion, ChampionComparison)
    assert result.evaluation.champion.run == "r1"
    assert result.evaluation.folds is not None
    assert result.evaluation.folds.count == 2
    assert result.backtest.rules is not None
    assert result.backtest.rules.fee_bps == 10
    assert [name for name, _ in result.export.files()] == [bundle.MODEL, bundle.MODEL_FROM_BARS, bundle.MODEL_INT8]
    assert result.export.from_bars is not None
    assert result.export.from_bars.parity is not None
    assert result.export.from_bars.parity.scaled <= result.export.from_bars.parity.bound


def test_an_older_result_is_judged_as_it_was_and_by_the_rule_that_came_later() -> None:
    result = Result.from_bytes(read_old(Result), "old")
    champion = Champion.from_bytes(read_old(Champion), "old")
    again = check_candidate(result, champion, None)
    assert [rule for rule in again if rule in result.gate] == list(result.gate)
    assert [rule.name for rule in again if rule not in result.gate] == [
        "skill-shown",
        "no-worse-than-bar",
        "not-behind-baseline",
    ]


def test_what_an_older_job_did_not_say_is_unknown_and_not_zero() -> None:
    raw = json.loads(read_old(Result)) | {"evaluation": {}, "backtest": {}, "export": {"skipped": "--skip-onnx"}}
    result = Result.from_bytes(json.dumps(raw), "old")
    assert result.evaluation == Evaluation()
    assert result.evaluation.spread is None
    assert (result.export.skipped, list(result.export.files())) == ("--skip-onnx", [])


def test_an_older_champion_that_could_not_be_compared_has_its_problem() -> None:
    problem = {"entry": "e", "run": "r", "job": "j", "problem": "too few rows"}
    assert Evaluation.model_validate({"champion": problem}).champion == NotCompared(**problem)
