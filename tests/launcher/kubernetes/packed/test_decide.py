"""What is done about a packed run, as a table on ``decide``: no thread, no server."""

from __future__ import annotations

from typing import Any

import pytest

from launcher.kubernetes.objects.job_status import Condition, JobStatus, PodStatus, read_job, read_pod
from launcher.kubernetes.objects.worker_job import WorkerJob, WorkerRound
from launcher.kubernetes.packed.decide import (
    CreateWorkers,
    DeleteWorkers,
    GiveUpWorkers,
    Leave,
    WriteVerdicts,
    decide,
)
from launcher.kubernetes.packed.view import PackedView, explain_waiting
from launcher.records.leases import Standing
from launcher.report.live_table import Row
from tests.launcher.fixtures import make_options

NOW = 1_800_000_000.0
DONE, LIVE, FREE = Standing("done"), Standing("live", 1), Standing("free", 1)
FAILED = Standing("failed", 1, category="bad-data", reason="40 bars")


def stamp(ago: float) -> str:
    from launcher.kubernetes.api.responses import format_time

    return format_time(NOW - ago)


def job(ordinal: int = 0, *, ago: float = 60.0, condition: str = "", reason: str = "", **meta: Any) -> WorkerJob:
    conditions = [{"type": condition, "status": "True", "reason": reason, "lastTransitionTime": stamp(10)}]
    status: JobStatus = read_job(
        {
            "metadata": {
                "name": f"workers-{ordinal}",
                "uid": f"u{ordinal}",
                "creationTimestamp": stamp(ago),
                "annotations": {"atb/try": str(ordinal), **meta.pop("notes", {})},
                **meta,
            },
            "spec": {"template": {"spec": {"containers": []}}},
            "status": {"startTime": stamp(ago), "conditions": conditions if condition else []},
        }
    )
    return WorkerJob(status, 2, 0.0)


def pod(phase: str, *, of: int = 0, ago: float = 50.0, code: int | None = None, **more: Any) -> PodStatus:
    state = {"terminated": {"exitCode": code, "finishedAt": stamp(10)}} if code is not None else {}
    return read_pod(
        {
            "metadata": {
                "name": f"workers-{of}-0",
                "creationTimestamp": stamp(ago),
                "labels": {"batch.kubernetes.io/job-name": f"workers-{of}"},
            },
            "spec": {"nodeName": more.get("node", "")},
            "status": {
                "phase": phase,
                "conditions": more.get("conditions", []),
                "containerStatuses": [{"name": "trainer", "state": state}],
            },
        }
    )


UNSCHEDULED = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": "0/3 nodes are available: 3 Insufficient nvidia.com/gpu.",
}


def view(*standings: Standing, **changes: Any) -> PackedView:
    named = {f"J{number}": standing for number, standing in enumerate(standings)}
    fields = {"options": make_options(workers=2, slots=1), "standings": named, "now": NOW, "may_create": True}
    return PackedView(**{**fields, **changes})


LOST = job(condition="Failed", reason="FailedIndexes")


@pytest.mark.parametrize(
    ("seen", "action"),
    [
        pytest.param(view(DONE, FAILED), Leave(), id="every job has come to its end"),
        pytest.param(
            view(FREE, FREE, FREE),
            CreateWorkers(WorkerRound(memory="64Mi", workers=2)),
            id="no workers yet",
        ),
        pytest.param(view(FREE, DONE), CreateWorkers(WorkerRound(memory="64Mi", workers=1)), id="no more than needed"),
        pytest.param(view(FREE, rounds=[job()], created=True), None, id="the workers have just been created"),
        pytest.param(view(FREE, rounds=[job()], pods=[pod("Running")], created=True), None, id="a worker runs"),
        pytest.param(
            view(FREE, rounds=[job(ago=9e4)], pods=[pod("Pending", ago=9e4, conditions=[UNSCHEDULED])], created=True),
            GiveUpWorkers(job(ago=9e4).status, "gpu", f"given up after 60 min: {UNSCHEDULED['message']}"),
            id="no worker has found a node for an hour",
        ),
        pytest.param(
            view(
                FREE,
                rounds=[job(ago=9e4)],
                pods=[pod("Pending", ago=9e4, conditions=[UNSCHEDULED]), pod("Running")],
                created=True,
            ),
            None,
            id="one of two workers does all",
        ),
        pytest.param(view(FREE, LIVE, rounds=[LOST], created=True), None, id="a lost worker's lease has not ended"),
        pytest.param(
            view(FREE, DONE, rounds=[LOST], pods=[pod("Failed", code=21, node="n1")], created=True),
            CreateWorkers(WorkerRound(memory="64Mi", workers=1, ordinal=1, avoid=("n1",))),
            id="the workers had no GPU: others, on another node",
        ),
        pytest.param(
            view(FREE, rounds=[LOST], pods=[pod("Failed", code=2)], created=True),
            WriteVerdicts(("J0",), "bad-spec", "what was asked for makes no sense"),
            id="they failed for good",
        ),
        pytest.param(
            view(FREE, rounds=[LOST], pods=[pod("Failed", code=75)], created=True, may_create=False),
            WriteVerdicts(("J0",), "unavailable", "the store or the network did not answer"),
            id="one that only follows creates nothing",
        ),
        pytest.param(
            view(FREE, rounds=[job(2, condition="Failed", reason="FailedIndexes")], created=True),
            WriteVerdicts(("J0",), "failed", "FailedIndexes"),
            id="the third round was the last",
        ),
        pytest.param(
            view(FREE, rounds=[job(2, condition="Complete")], created=True, before=2),
            CreateWorkers(WorkerRound(memory="64Mi", workers=1, ordinal=3)),
            id="a resumed run begins a round of its own",
        ),
        pytest.param(
            view(FREE, created=True),
            WriteVerdicts(("J0",), "vanished", "its workers' Job is gone and it has no result", interrupted=True),
            id="somebody has deleted the Job",
        ),
        pytest.param(
            view(FREE, created=True, cancelled=True),
            WriteVerdicts(("J0",), "cancelled", "cancelled", interrupted=True),
            id="somebody has cancelled the run",
        ),
        pytest.param(
            view(FREE, rounds=[job()], created=True, cancelled=True),
            DeleteWorkers(job().status),
            id="and this launcher had just created the Job",
        ),
        pytest.param(
            view(FREE, rounds=[job(notes={"atb/verdict": "gpu: given up"})], created=True),
            WriteVerdicts(("J0",), "gpu", "given up"),
            id="the Job was given up before",
        ),
        pytest.param(
            view(FREE, rounds=[job(condition="Failed", reason="DeadlineExceeded")], created=True),
            WriteVerdicts(("J0",), "deadline", "ran longer than its deadline of 0 s"),
            id="the Job's time was over",
        ),
    ],
)
def test_the_rules_of_a_packed_run(seen: PackedView, action: Any) -> None:
    found = decide(seen, 2, 0.0)
    if isinstance(action, WriteVerdicts) and isinstance(found, WriteVerdicts):
        assert (found.jobs, found.category, found.interrupted) == (action.jobs, action.category, action.interrupted)
        assert action.reason in found.reason or action.category in ("bad-spec", "unavailable")
    else:
        assert found == action


def test_what_no_worker_has_begun_shows_what_the_workers_wait_for() -> None:
    seen = view(FREE, rounds=[job()], pods=[pod("Pending", conditions=[UNSCHEDULED])])
    rows = [Row("J0", "A", "fast", "pending"), Row("J1", "B", "fast", "done")]
    shown = explain_waiting(rows, seen.workers())
    assert [(row.state, row.category) for row in shown] == [("pending", "gpu"), ("done", "")]
    running = view(FREE, rounds=[job()], pods=[pod("Running")])
    assert explain_waiting(rows, running.workers()) == rows


def test_a_condition_is_read_as_it_is() -> None:
    assert LOST.status.failed == Condition("FailedIndexes", "", NOW - 10)
