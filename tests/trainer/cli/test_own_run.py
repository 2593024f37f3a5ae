"""A run of ``atb train model`` or ``atb compare`` is planned, listed, resumed and shown like one of ``atb-launch``."""

from __future__ import annotations

import pytest

from atb.contract import keys
from atb.contract.spec import Spec, resolve_spec
from atb.documents.plan import Plan
from atb.storage import DirectoryStore, MemoryStore, Store
from launcher.plan.build import build_plan, commit_plan
from launcher.records.manifest import list_runs
from launcher.records.run_record import RunRecord
from tests.atb.registry.candidates import NOW, commit
from trainer.cli.own_run import plan_run, resume_words, write_page


def spec_of(symbol: str, **options: object) -> Spec:
    return resolve_spec(symbol, "fast", {"as_of": NOW, **options})


def plan_of(store: Store) -> Plan:
    return Plan.from_bytes(store.get(keys.plan("r1")), "plan")


def test_a_training_s_run_can_be_resumed_and_listed() -> None:
    store = MemoryStore()
    plan_run(store, "r1", [spec_of("BTCUSDT")])
    assert [job.job for job in RunRecord.load(store, "r1").left()] == ["BTCUSDT-fast"]
    assert list_runs(store)[0].jobs == {"pending": 1}
    commit(store, "r1")
    assert RunRecord.load(store, "r1").left() == []
    assert list_runs(store)[0].words.endswith("1 done; not collected yet: atb-launch collect r1")


def test_another_training_of_the_run_is_added_to_its_plan_once() -> None:
    store = MemoryStore()
    for symbol in ("BTCUSDT", "ETHUSDT", "BTCUSDT"):
        plan_run(store, "r1", [spec_of(symbol)])
    assert [job.job for job in plan_of(store).jobs] == ["BTCUSDT-fast", "ETHUSDT-fast"]


def test_the_same_job_with_other_options_takes_its_own_place() -> None:
    store = MemoryStore()
    plan_run(store, "r1", [spec_of("BTCUSDT"), spec_of("ETHUSDT")])
    plan_run(store, "r1", [spec_of("BTCUSDT", epochs=7)])
    plan = plan_of(store)
    assert {job.job: job.spec.epochs for job in plan.jobs}["BTCUSDT-fast"] == 7
    assert len(plan.jobs) == 2


def test_a_launcher_s_plan_stays_as_it_is() -> None:
    store = MemoryStore()
    plan = build_plan("r1", ["BTCUSDT"], ["fast"], {"as_of": NOW}, backend="local", now=NOW)
    commit_plan(plan, store)
    plan_run(store, "r1", [spec_of("ETHUSDT")])
    assert plan_of(store) == plan


def test_a_damaged_plan_keeps_nobody_from_training() -> None:
    store = MemoryStore()
    store.put(keys.plan("r1"), b"{")
    plan_run(store, "r1", [spec_of("ETHUSDT")])
    assert store.get(keys.plan("r1")) == b"{"


def test_the_command_that_resumes_names_the_run_and_its_store(
    tmp_path: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ATB_STORE", raising=False)
    assert resume_words(DirectoryStore(str(tmp_path)), "r1") == f"atb-launch --resume r1 --store {tmp_path}"


def test_the_run_has_a_page(tmp_path: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]) -> None:
    store = DirectoryStore(str(tmp_path))
    plan_run(store, "r1", [spec_of("BTCUSDT")])
    commit(store, "r1")
    write_page(store, "r1")
    assert capsys.readouterr().out == f"report  {tmp_path}/runs/r1/report.html\n"
    assert b"BTCUSDT" in store.get(keys.report("r1"))
    write_page(store, "none")
    assert "the page could not be written: error: there is no run none" in capsys.readouterr().err
