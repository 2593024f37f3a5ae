from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Literal

import pytest

from atb.contract import keys
from atb.contract.exits import EXITS
from atb.documents.attempt import ExitReport, Verdict
from atb.documents.manifest import ManifestJob
from atb.documents.plan import Plan
from atb.storage import MemoryStore, Store
from launcher.plan.build import build_plan, commit_plan
from launcher.records.job_record import JobRecord, Outcome, outcome_of
from launcher.records.manifest import build_manifest, collect, list_runs
from launcher.records.run_record import RunRecord
from launcher.report.guide import can_help
from launcher.report.table import format_seconds, job_lines, plan_lines, print_manifest
from tests.atb.registry.candidates import commit

NOW = datetime(2026, 1, 31, 6, tzinfo=UTC)


def plan_of(*symbols: str) -> Plan:
    return build_plan("r1", symbols, ["fast"], {"as_of": NOW}, backend="local", now=NOW)


def report(code: int, attempt: int = 1) -> ExitReport:
    category = {entry.code: entry.category for entry in EXITS}[code]
    return ExitReport(
        attempt=attempt,
        code=code,
        category=category,
        message=f"code {code}",
        stage="training",
        epochs=3,
        peak_memory_bytes=7,
        started=NOW,
        finished=NOW.replace(minute=2),
    )


def verdict(attempts: int, state: Literal["failed", "interrupted"] = "failed") -> Verdict:
    return Verdict(job="BTCUSDT-fast", state=state, category="oom", reason="no memory", attempts=attempts, recorded=NOW)


def leave(store: Store, job: str, *, attempt: int = 1, **documents: Any) -> None:
    """What an attempt leaves in the store."""
    for name, document in {"claim": None, **documents}.items():
        data = b"{}" if document is None else document.to_bytes()
        store.put(keys.attempt("r1", job, attempt, f"{name}.json"), data)


@pytest.mark.parametrize(
    ("record", "outcome"),
    [
        (JobRecord(), Outcome("pending")),
        (JobRecord(attempts=1), Outcome("running")),
        (JobRecord(attempts=1, report=report(10)), Outcome("failed", "bad-data", "code 10")),
        (JobRecord(attempts=1, report=report(143)), Outcome("interrupted", "stopped", "code 143")),
        (JobRecord(attempts=1, verdict=verdict(1)), Outcome("failed", "oom", "no memory")),
        (JobRecord(attempts=2, verdict=verdict(1)), Outcome("running")),
        (JobRecord(attempts=0, verdict=verdict(0, "interrupted")), Outcome("interrupted", "oom", "no memory")),
    ],
)
def test_what_became_of_a_job_follows_from_what_it_left(record: JobRecord, outcome: Outcome) -> None:
    assert outcome_of(record) == outcome


def test_an_exit_code_of_zero_without_a_result_is_a_failure() -> None:
    assert outcome_of(JobRecord(attempts=1, report=report(0))).category == "no-result"


def test_collecting_twice_gives_the_same_bytes_and_the_first_is_not_read(store: Store) -> None:
    plan = plan_of("BTCUSDT", "ETHUSDT", "LTCUSDT", "XRPUSDT")
    commit(store, "r1", "BTCUSDT")
    leave(store, "ETHUSDT-fast", exit=report(20))
    leave(store, "LTCUSDT-fast", exit=report(75))
    leave(store, "LTCUSDT-fast", attempt=2)
    manifest = collect(store, RunRecord.of(store, plan))
    first = store.get(keys.manifest("r1"))
    store.put(keys.manifest("r1"), b"lost")
    collect(store, RunRecord.of(store, plan))
    assert store.get(keys.manifest("r1")) == first
    assert [(job.state, job.category, job.attempts) for job in manifest.jobs] == [
        ("done", "", 0),
        ("failed", "diverged", 1),
        ("running", "", 2),
        ("pending", "", 0),
    ]
    assert not manifest.complete
    done, failed, *_ = manifest.jobs
    assert done.model == keys.bundle("r1", "BTCUSDT-fast", 1, "model.onnx")
    assert (failed.epochs, failed.seconds, failed.peak_memory_bytes) == (3, 120.0, 7)


def test_a_result_is_success_whatever_else_is_there() -> None:
    store, plan = MemoryStore(), plan_of("BTCUSDT")
    commit(store, "r1", "BTCUSDT")
    leave(store, "BTCUSDT-fast", exit=report(143))
    store.put(keys.verdict("r1", "BTCUSDT-fast"), verdict(1).to_bytes())
    assert build_manifest(RunRecord.of(store, plan)).complete


def test_a_skipped_job_shows_the_numbers_it_refers_to_and_is_no_success_without_them() -> None:
    store, plan, earlier_key = MemoryStore(), plan_of("BTCUSDT"), keys.result("r0", "BTCUSDT-fast")
    earlier = commit(store, "r0", "BTCUSDT")
    (job,) = plan.jobs
    skipped = job.model_copy(update={"action": "skip", "previous_run": "r0", "previous_job": "BTCUSDT-fast"})
    plan = plan.model_copy(update={"jobs": (skipped,)})
    (found,) = build_manifest(RunRecord.of(store, plan)).jobs
    assert (found.state, found.metrics, found.result) == ("skipped", earlier.metrics, earlier_key)
    for spoil in (
        lambda: store.put(earlier_key, earlier.model_copy(update={"spec_digest": "0" * 64}).to_bytes()),
        lambda: store.put(earlier_key, b"{"),
        lambda: store.delete(earlier_key),
    ):
        spoil()
        manifest = build_manifest(RunRecord.of(store, plan))
        (found,) = manifest.jobs
        assert (found.metrics, found.state, found.category, manifest.complete) == ({}, "failed", "gone", False)
        assert found.reason.endswith("but that result is no longer there; --resume trains it")
        assert can_help(manifest)
    older = plan.model_copy(update={"jobs": (skipped.model_copy(update={"previous_job": None}),)})
    assert build_manifest(RunRecord.of(store, older)).complete


def test_runs_are_listed_from_the_latest_and_only_those_with_a_plan(store: Store) -> None:
    plan = plan_of("BTCUSDT")
    for run in ("20260101-000000-aaaa", "20260102-000000-bbbb"):
        commit_plan(plan.model_copy(update={"run": run}), store)
    collect(store, RunRecord.of(store, plan.model_copy(update={"run": "20260101-000000-aaaa"})))
    commit(store, "by-hand")
    assert [(each.run, each.words) for each in list_runs(store)] == [
        (
            "20260102-000000-bbbb",
            "2026-01-31 06:00 UTC  1 pending; not collected yet: atb-launch collect 20260102-000000-bbbb",
        ),
        ("20260101-000000-aaaa", "2026-01-31 06:00 UTC  1 pending"),
    ]


def test_the_table_fits_eighty_columns() -> None:
    jobs = [
        ManifestJob(
            job="1000PEPEUSDT-balanced",
            symbol="1000PEPE/USDT:USDT-PERPETUAL",
            preset="balanced",
            state="interrupted",
            epochs=100,
            metrics={"rmse": 123456.789, "mape": 12.3456, "skill": -0.12345},
            baselines={"persistence": {"skill": 0.0}, "linear": {"skill": 0.1}},
            seconds=36_000,
        )
    ]
    head, row = job_lines(jobs, 80)
    assert len(row) <= 80 + len("\x1b[35m\x1b[0m")
    row = re.sub(r"\x1b\[[0-9;]*m", "", row)
    assert head.split() == ["symbol", "preset", "state", "epochs", "test", "RMSE", "baseline", "skill", "time"]
    assert row.split() == [
        "1000PEPE/…",
        "balanced",
        "interrupted",
        "100",
        "1.2346e+05",
        "+0.1000",
        "-0.1235",
        "10h00m",
    ]


def test_below_the_table_are_models_reasons_and_a_word_on_made_up_bars(
    capsys: pytest.CaptureFixture[str],
) -> None:
    store, plan = MemoryStore(), plan_of("BTCUSDT", "ETHUSDT")
    commit(store, "r1", "BTCUSDT")
    leave(store, "ETHUSDT-fast", exit=report(10))
    manifest = build_manifest(RunRecord.of(store, plan))
    done, failed = manifest.jobs
    manifest = manifest.model_copy(update={"jobs": (done.model_copy(update={"synthetic": True}), failed)})
    print_manifest(manifest, "./store")
    output = capsys.readouterr().out
    assert "ETHUSDT-fast failed (bad-data): code 10\n" in output
    assert "BTCUSDT-fast  ./store/runs/r1/bundles/BTCUSDT-fast/1/model.onnx\n" in output
    assert "1 of these models were trained on made-up bars" in output


def test_a_dry_run_is_one_line_a_job() -> None:
    assert list(plan_lines(plan_of("BTCUSDT"))) == ["BTCUSDT-fast  run   100 epochs, 4,320 bars"]


@pytest.mark.parametrize(("seconds", "text"), [(4.24, "4.2s"), (185, "3m05s"), (7_800, "2h10m"), (None, "")])
def test_seconds_are_abbreviated(seconds: float | None, text: str) -> None:
    assert format_seconds(seconds) == text
