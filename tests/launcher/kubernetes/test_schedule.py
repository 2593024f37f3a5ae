"""A scheduled run is cut at the time it was due, whenever its launcher starts."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from atb.contract.runs import validate_run
from atb.documents.plan import Plan
from atb.errors import SpecError
from atb.storage import open_store
from launcher.kubernetes.api.client import Cluster
from launcher.kubernetes.api.requests import ApiError
from launcher.kubernetes.schedule import JOB_VARIABLE, SCHEDULED_ANNOTATION, due_of, find_due, run_name
from launcher.plan.build import commit_plan
from tests.apiserver.http import ApiServer

DUE = datetime(2026, 11, 25, 0, 15, tzinfo=UTC)


def make_job(**annotations: str) -> dict[str, Any]:
    metadata = {"name": "atb-daily-29401935", "creationTimestamp": "2026-11-25T03:40:12Z"}
    return {"metadata": {**metadata, "annotations": annotations}}


@pytest.mark.parametrize("text", ["2026-11-25T00:15:00Z", "2026-11-25T01:15:00+01:00"])
def test_a_late_job_was_due_when_its_cron_job_says_in_any_time_zone(text: str) -> None:
    due = due_of(make_job(**{SCHEDULED_ANNOTATION: text}))
    assert due.at == DUE
    assert "atb-daily-29401935" in due.source


def test_a_job_fired_by_hand_was_due_when_it_was_created_and_says_so() -> None:
    manual = make_job(**{"cronjob.kubernetes.io/instantiate": "manual"})
    assert due_of(manual).at == datetime(2026, 11, 25, 3, 40, 12, tzinfo=UTC)
    assert "fired by hand" in due_of(manual).source
    bare = make_job()
    del bare["metadata"]["annotations"]
    assert due_of(bare).at == due_of(manual).at


def test_a_pod_finds_its_job_by_name(server: ApiServer, cluster: Cluster) -> None:
    body = {**make_job(**{SCHEDULED_ANNOTATION: DUE.isoformat()}), "apiVersion": "batch/v1", "kind": "Job"}
    server.state.create("jobs", "lab", {**body, "spec": {"template": {"spec": {"containers": []}}}})
    assert find_due(cluster, {JOB_VARIABLE: "atb-daily-29401935"}).at == DUE
    with pytest.raises(ApiError):
        find_due(cluster, {JOB_VARIABLE: "another"})


def test_outside_a_schedules_pod_the_error_names_what_to_give_instead(cluster: Cluster) -> None:
    with pytest.raises(SpecError, match="--run NAME --as-of TIME"):
        find_due(cluster, {})


def test_a_run_is_named_by_its_schedule_and_time_alone_and_fits_a_label() -> None:
    assert run_name("atb-daily", DUE) == "atb-daily-20261125-001500"
    long = [run_name(f"{'x' * 51}{end}", DUE) for end in "ab"]
    assert long[0] != long[1]
    assert all(validate_run(name) == name and name.endswith("-20261125-001500") for name in long)


Launch = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def launch(server: ApiServer, tmp_path: Path) -> Launch:
    """A dry run of a schedule's launcher, in the Pod of a Job that was due at DUE."""
    body = {**make_job(**{SCHEDULED_ANNOTATION: DUE.isoformat()}), "apiVersion": "batch/v1", "kind": "Job"}
    server.state.create("jobs", "lab", {**body, "spec": {"template": {"spec": {"containers": []}}}})
    names = {"KUBECONFIG": str(server.kubeconfig(tmp_path, "lab")), JOB_VARIABLE: "atb-daily-29401935"}

    def run(*flags: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "launcher.cli", "--symbols", "BTCUSDT", "--source", "sample"]
        command += ["--store", str(tmp_path / "store"), "--backend", "local", "--schedule", "atb-daily"]
        command += ["--dry-run", "--output", "json", *flags]
        return subprocess.run(command, env={**os.environ, **names}, capture_output=True, text=True, check=False)

    return run


def test_the_launcher_plans_the_run_that_was_due_and_goes_on_with_it_when_started_again(
    launch: Launch, tmp_path: Path
) -> None:
    answer = launch()
    plan = Plan.from_bytes(answer.stdout, "stdout")
    assert plan.run == "atb-daily-20261125-001500"
    assert plan.jobs[0].spec.as_of == DUE.replace(minute=0)
    assert "the schedule of Job atb-daily-29401935" in answer.stderr
    commit_plan(plan, open_store(str(tmp_path / "store")))
    again = launch("--set", "epochs=3")
    assert Plan.from_bytes(again.stdout, "stdout") == plan
    assert "has begun already and is resumed" in again.stderr


def test_a_run_that_another_release_has_begun_in_the_same_store_is_left_alone(
    server: ApiServer, launch: Launch, tmp_path: Path
) -> None:
    def own(uid: str) -> None:
        reference = {"apiVersion": "batch/v1", "kind": "CronJob", "name": "atb-daily", "uid": uid, "controller": True}
        server.state.patch("jobs", "lab", "atb-daily-29401935", {"metadata": {"ownerReferences": [reference]}})

    own("theirs")
    plan = Plan.from_bytes(launch().stdout, "stdout")
    plan = plan.model_copy(update={"options": {**plan.options, "cluster": {"namespace": "team-a"}}})
    commit_plan(plan, open_store(str(tmp_path / "store")))
    assert launch().returncode == 0  # its own launcher, restarted
    own("ours")
    answer = launch()
    assert answer.returncode == 2
    message = answer.stderr.splitlines()[-1]
    assert "was started by another schedule of this name, in namespace team-a; give each release a store.url" in message


def test_a_schedule_decides_run_and_time_itself(launch: Launch) -> None:
    answer = launch("--as-of", "2026-01-01")
    assert answer.returncode == 2
    assert answer.stderr.splitlines()[-1].startswith("error: --as-of can't be used with --schedule")
