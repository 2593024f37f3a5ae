"""A scheduled run is cut at the time it was due, whenever its launcher starts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from launcher.calls import ApiError
from launcher.cluster import Cluster
from launcher.schedule import JOB_VARIABLE, SCHEDULED_ANNOTATION, due_of, find_due, run_name
from tests.apiserver.http import ApiServer
from trainer.errors import SpecError

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


def test_outside_a_schedules_pod_the_user_is_told_what_to_give_instead(cluster: Cluster) -> None:
    with pytest.raises(SpecError, match="--run NAME --as-of TIME"):
        find_due(cluster, {})


def test_a_run_is_named_by_its_schedule_and_time_alone() -> None:
    assert run_name("atb-daily", DUE) == "atb-daily-20261125-001500"
