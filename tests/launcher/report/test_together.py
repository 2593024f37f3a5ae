from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest

from atb.contract import keys
from atb.documents.evaluation import BandMetrics
from atb.documents.evidence import JobEvidence, RunEvidence
from atb.documents.manifest import Manifest
from atb.registry.champions import ModelKey
from atb.registry.gate import Shown, check_candidate, passes
from atb.registry.record import Live
from atb.storage import MemoryStore, Store
from launcher.records.manifest import build_manifest
from launcher.report.page import write_report
from launcher.report.together import build_together, decide_gates
from tests.atb.registry.candidates import commit
from tests.atb.registry.test_record import extend, first_champion, live_rows
from tests.launcher.report.test_page import record_of


@pytest.fixture
def store() -> Store:
    """A run whose one model would pass with its e-value of 100 if it were alone."""
    store = MemoryStore()
    result = commit(store, "r1")
    alone = Shown(log_e=math.log(100), bound=20, fdr=0.05, candidates=1, rows=400, models=1)
    judged = result.model_copy(update={"gate": check_candidate(result, None, alone)})
    store.put(keys.result("r1", judged.job), judged.to_bytes())
    assert passes(judged.gate)
    return store


def evidence_of(bound: float, log_e: float | None = math.log(100), problem: str = "") -> RunEvidence:
    job = JobEvidence(job="BTCUSDT-fast", log_e=log_e, rows=400, models=1, problem=problem)
    return RunEvidence(run="r1", fdr=0.05, bound=bound, candidates=30, jobs=(job,))


def tile(store: Store, evidence: RunEvidence | None) -> str:
    """What the page counts as passed."""
    if evidence is not None:
        store.put(keys.run_evidence("r1"), evidence.to_bytes())
    page = store.get(write_report(store, record_of(store, "BTCUSDT"))).decode()
    found = re.search(r"(\d+)\D{0,40}passed the gate", page)
    assert found is not None
    return found[1]


def test_the_page_counts_and_names_what_passed_by_the_runs_decision(store: Store) -> None:
    assert tile(store, None) == "1"
    assert tile(store, evidence_of(600.0)) == "0"
    assert "what it knows could be chance" in store.get(keys.report("r1")).decode()
    assert tile(store, evidence_of(60.0)) == "1"
    assert "30 candidates together" in store.get(keys.report("r1")).decode()


def decided(store: Store, evidence: RunEvidence) -> Manifest:
    return decide_gates(build_manifest(record_of(store, "BTCUSDT")), evidence)


def test_only_what_was_shown_is_judged_anew(store: Store) -> None:
    before = decide_gates(build_manifest(record_of(store, "BTCUSDT")), None).jobs[0].gate
    (rule,) = set(decided(store, evidence_of(600.0)).jobs[0].gate) - set(before)
    assert (rule.name, rule.bound, rule.passed) == ("skill-shown", 600.0, False)
    assert rule.value == pytest.approx(100.0)
    assert "30 candidates together" in rule.note
    (unknown,) = set(decided(store, evidence_of(600.0, None, "its rows are gone")).jobs[0].gate) - set(before)
    assert (unknown.passed, unknown.note) == (False, "its rows are gone")


def test_what_serves_has_its_live_coverage_beside_the_promise() -> None:
    store = MemoryStore()
    promised = BandMetrics(level=0.95, coverage=0.953, width=0.02, score=0.03)
    champion = first_champion(store).model_copy(update={"bands": (promised,)})
    rows = [replace(row, inside={0.95: hour > 2}) for hour, row in enumerate(live_rows(0, 48, True))]
    together = build_together(None, [Live(ModelKey.of(champion), champion, extend(store, champion, rows))])
    assert together is not None
    assert "93.8% (95.3%) of 0.95" in together.live[0]
