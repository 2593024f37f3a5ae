"""The runs of a store, for people and for programs."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from atb.contract import keys
from atb.storage import DirectoryStore
from launcher.cli import atb_launch
from launcher.records.manifest import collect
from launcher.records.run_record import RunRecord
from tests.launcher.records.test_run_record import run_of


def test_runs_are_listed_as_json_with_their_jobs_by_state(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    plan = run_of(store)
    opened = CliRunner().invoke(atb_launch, ["list", "--output", "json", "--store", str(tmp_path)])
    assert "not collected yet" in json.loads(opened.output)[0]["note"]
    manifest = collect(store, RunRecord.of(store, plan))
    listed = CliRunner().invoke(atb_launch, ["list", "--output", "json", "--store", str(tmp_path)])
    (run,) = json.loads(listed.output)
    states = [job.state for job in manifest.jobs]
    assert run["jobs"] == {state: states.count(state) for state in states}
    assert datetime.fromisoformat(run["created"]).tzinfo == UTC


def test_why_and_page_print_one_json_value_if_asked(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    plan = run_of(store)
    collect(store, RunRecord.of(store, plan))

    def call(*words: str) -> Any:
        return json.loads(CliRunner().invoke(atb_launch, [*words, "--output", "json", "--store", str(tmp_path)]).stdout)

    failed = call("why", "r1", "LTCUSDT")
    assert (failed["job"], failed["state"], failed["category"]) == ("LTCUSDT-fast", "failed", "oom")
    assert "memory" in failed["remedy"]
    assert call("why", "r1", "BTCUSDT")["state"] == "done"
    assert call("page", "r1") == [f"{store.url}/runs/r1/report.html"]
    assert call("page", "--all") == [f"{store.url}/runs/r1/report.html", f"{store.url}/index.html"]
    skipped = plan.jobs[0].model_copy(update={"action": "skip", "previous_run": "r0", "previous_job": "BTCUSDT-fast"})
    store.put(keys.plan("r2"), plan.model_copy(update={"run": "r2", "jobs": (skipped,)}).to_bytes())
    gone = call("why", "r2", "BTCUSDT")
    assert (gone["state"], gone["reason"].endswith("--resume trains it")) == ("failed", True)


def test_evidence_that_can_not_be_read_is_named_and_so_is_a_comparison_on_the_page(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    collect(store, RunRecord.of(store, run_of(store)))
    for key in (keys.run_evidence("r1"), keys.comparison("r1", "json")):
        store.put(key, b"{")
    status = CliRunner().invoke(atb_launch, ["status", "r1", "--store", str(tmp_path)])
    assert (status.exit_code, "done" in status.stdout) == (0, True)
    assert "unreadable: runs/r1/evidence.json is not a run-evidence document" in status.stderr
    assert "make it again with: atb-launch collect r1" in status.stderr
    CliRunner().invoke(atb_launch, ["page", "r1", "--store", str(tmp_path)])
    page = store.get(keys.report("r1")).decode()
    for kind in ("evidence.json is not a run-evidence", "comparison.json is not a comparison"):
        assert f"runs/r1/{kind} document" in page
