"""The runs of a store, for people and for programs."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from click.testing import CliRunner

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
