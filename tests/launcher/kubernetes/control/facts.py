"""Jobs and Pods as facts, and the state of a run that knows them, for tests that ask what is decided."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from launcher.kubernetes.api.informer import Listed
from launcher.kubernetes.control.apply import apply_job, apply_pod
from launcher.kubernetes.control.state import RunState
from launcher.kubernetes.objects.job_status import Condition, JobStatus, PodStatus, read_job, read_pod
from launcher.kubernetes.objects.jobs import build_job, job_name
from launcher.kubernetes.objects.pod import Target
from launcher.kubernetes.options import ClusterOptions
from launcher.plan.backend import Mode
from tests.launcher.fixtures import NOW as START
from tests.launcher.fixtures import make_options, make_plan, make_try

BEGAN = START.timestamp()
NOW = BEGAN + 600
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
PLAN = make_plan(*SYMBOLS)
OPTIONS = make_options(memory="8Gi", max_memory="32Gi", schedule_seconds=900, start_seconds=300)
BTC, ETH, SOL = (job.job for job in PLAN.jobs)


def job(name: str = BTC, ordinal: int = 0, **changes: Any) -> JobStatus:
    """A live Job that started ten minutes ago."""
    planned = next(planned for planned in PLAN.jobs if planned.job == name)
    attempt = make_try(ordinal=ordinal, oom=changes.get("oom", 0), infrastructure=changes.get("infrastructure", 0))
    body = build_job(planned, Target(PLAN.run, "s3://b"), OPTIONS, attempt)
    body["metadata"] |= {"uid": f"uid-{name}-{ordinal}", "creationTimestamp": "2026-11-01T12:00:00Z"}
    return replace(read_job(body), **{"started": BEGAN, **changes})


def pod(name: str = BTC, ordinal: int = 0, **changes: Any) -> PodStatus:
    """The Pod of such a Job, on node-a."""
    meta = {"name": f"pod-{name}-{ordinal}", "creationTimestamp": "2026-11-01T12:00:00Z"}
    facts = read_pod({"metadata": meta, "spec": {"nodeName": "node-a"}, "status": {"phase": "Running"}})
    return replace(facts, job=name, job_name=job_name(PLAN.run, name, ordinal), running_since=BEGAN + 5, **changes)


def ended(code: int, name: str = BTC, ordinal: int = 0, **changes: Any) -> PodStatus:
    """A Pod that has ended a minute ago."""
    fields = {"phase": "Failed", "exit_code": code, "exit_reason": "Error", "ended": NOW - 60, **changes}
    return pod(name, ordinal, **fields)


def failed(reason: str = "BackoffLimitExceeded", message: str = "") -> Condition:
    """The condition of a Job that has failed."""
    return Condition(reason, message, NOW - 50)


def by_policy(code: int) -> Condition:
    """The condition of a Job that failed by its podFailurePolicy."""
    text = f"Container trainer for pod lab/pod failed with exit code {code} matching FailJob rule at index 1"
    return failed("PodFailurePolicy", text)


def know(
    *objects: JobStatus | PodStatus,
    options: ClusterOptions = OPTIONS,
    mode: Mode = "create",
    others: bool = True,
    **more: Any,
) -> RunState:
    """A run of which these objects were listed. ``others``: the jobs without an object are done."""
    state = RunState(PLAN, options, mode=mode, **{"began": BEGAN, "may_create": mode != "attach", **more})
    jobs = {one.name: one for one in objects if isinstance(one, JobStatus)}
    apply_job(state, NOW, Listed(jobs))
    apply_pod(state, NOW, Listed({one.name: one for one in objects if isinstance(one, PodStatus)}))
    if others:
        quiet = set(state.planned) - {one.job for one in objects}
        state.created |= quiet
        state.marked = True
        for name in quiet:
            state.to_restart.pop(name, None)
        settle(state, *quiet)
    return state


def settle(state: RunState, *names: str) -> None:
    """Let jobs have come to their end."""
    state.settled.update(names)
    for name in names:
        state.touch(name)


def looked(state: RunState, name: str = BTC) -> RunState:
    """The same after the store has been asked for the job's result and had none."""
    state.results[name], state.looked_after[name] = None, state.latest_uid(name)
    return state
