"""What the launcher keeps of Jobs and Pods: the few fields that decide, a fiftieth of the objects' size."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from atb.contract import labels
from atb.contract.names import whole_number
from atb.redaction import redact
from launcher.kubernetes.api.responses import parse_time, read_words
from launcher.kubernetes.objects.pod import CONTAINER

JOB_NAME_LABEL = "batch.kubernetes.io/job-name"


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition that is true or, for PodScheduled, false. ``since`` is in seconds since 1970."""

    reason: str
    message: str
    since: float


@dataclass(frozen=True, slots=True)
class JobStatus:
    """One Job. Times are seconds since 1970, 0 where there is none."""

    name: str
    uid: str
    job: str
    spec_digest: str
    ordinal: int
    oom: int
    infrastructure: int
    cause: str
    first_created: float
    created: float
    memory: str
    deadline_seconds: int
    verdict: str
    suspended: bool
    deleted: float
    started: float
    complete: Condition | None
    failed: Condition | None
    failing: Condition | None
    """FailureTarget: the Job has failed and its last Pods are ending."""
    queued: Condition | None
    on_demand: bool = False

    @property
    def deleting(self) -> bool:
        """Whether it is being deleted but still exists."""
        return self.deleted > 0

    @property
    def live(self) -> bool:
        """Whether it may still start or run Pods."""
        return not (self.complete or self.failed or self.verdict or self.deleting)


@dataclass(frozen=True, slots=True)
class PodStatus:
    """One Pod and its container."""

    name: str
    job_name: str
    job: str
    phase: str
    reason: str
    message: str
    node: str
    created: float
    deleted: float
    grace: float
    scheduled: Condition | None
    unscheduled: Condition | None
    disrupted: Condition | None
    waiting: str
    waiting_message: str
    exit_code: int | None
    exit_reason: str
    exit_message: str
    running_since: float
    ended: float


def read_job(item: dict[str, Any]) -> JobStatus:
    """The facts of a Job as the API has it."""
    meta, spec, status = item["metadata"], item["spec"], item.get("status", {})
    notes = meta.get("annotations") or {}
    created = parse_time(meta["creationTimestamp"])
    conditions = {c["type"]: _condition(c) for c in status.get("conditions") or [] if c["status"] == "True"}
    limits = next(
        (
            c.get("resources", {}).get("limits") or {}
            for c in spec["template"]["spec"]["containers"]
            if c["name"] == CONTAINER
        ),
        {},
    )
    return JobStatus(
        name=meta["name"],
        uid=meta["uid"],
        job=notes.get(labels.JOB_ANNOTATION, ""),
        spec_digest=notes.get(labels.SPEC_ANNOTATION, ""),
        ordinal=_number(notes.get(labels.TRY_ANNOTATION)),
        oom=_number(notes.get(labels.OOM_ANNOTATION)),
        infrastructure=_number(notes.get(labels.INFRASTRUCTURE_ANNOTATION)),
        cause=notes.get(labels.CAUSE_ANNOTATION, ""),
        first_created=_noted_time(notes.get(labels.FIRST_ANNOTATION)) or created,
        created=created,
        memory=limits.get("memory", ""),
        deadline_seconds=spec.get("activeDeadlineSeconds") or 0,
        verdict=notes.get(labels.VERDICT_ANNOTATION, ""),
        suspended=bool(spec.get("suspend")),
        deleted=_time(meta.get("deletionTimestamp")),
        started=_time(status.get("startTime")),
        complete=conditions.get("Complete"),
        failed=conditions.get("Failed"),
        failing=conditions.get("FailureTarget"),
        queued=conditions.get("Suspended"),
        on_demand=labels.ON_DEMAND_ANNOTATION in notes,
    )


def read_pod(item: dict[str, Any]) -> PodStatus:
    """The facts of a Pod as the API has it. Only the trainer's container counts, whatever else was injected."""
    meta, spec, status = item["metadata"], item["spec"], item.get("status", {})
    marks = meta.get("labels") or {}
    conditions = {(c["type"], c["status"]): c for c in status.get("conditions") or []}
    container: dict[str, Any] = next((c for c in status.get("containerStatuses") or [] if c["name"] == CONTAINER), {})
    state = container.get("state") or {}
    waiting, running, ended = (state.get(key) or {} for key in ("waiting", "running", "terminated"))
    if not waiting and not running and not ended:
        waiting = _waiting_init(status)
    return PodStatus(
        name=meta["name"],
        job_name=marks.get(JOB_NAME_LABEL, ""),
        job=(meta.get("annotations") or {}).get(labels.JOB_ANNOTATION, ""),
        phase=status.get("phase", "Pending"),
        reason=status.get("reason", ""),
        message=_line(status.get("message")),
        node=spec.get("nodeName", ""),
        created=parse_time(meta["creationTimestamp"]),
        deleted=_time(meta.get("deletionTimestamp")),
        grace=float(meta.get("deletionGracePeriodSeconds") or 0),
        scheduled=_condition(conditions.get(("PodScheduled", "True"))),
        unscheduled=_condition(conditions.get(("PodScheduled", "False"))),
        disrupted=_condition(conditions.get(("DisruptionTarget", "True"))),
        waiting=waiting.get("reason", ""),
        waiting_message=_line(waiting.get("message")),
        exit_code=ended.get("exitCode"),
        exit_reason=ended.get("reason", ""),
        # its lines tell an error from a mention of one
        exit_message=redact((ended.get("message") or "").strip())[-4096:],
        running_since=_time(running.get("startedAt") or ended.get("startedAt")),
        ended=_time(ended.get("finishedAt")),
    )


def keep_pull_error(old: PodStatus | None, new: PodStatus) -> PodStatus:
    """The new facts, with the last pull error's text where the kubelet now only says that it backs off."""
    if old is None or new.waiting != "ImagePullBackOff" or old.waiting not in ("ErrImagePull", "ImagePullBackOff"):
        return new
    return replace(new, waiting_message=max(old.waiting_message, new.waiting_message, key=len))


def _waiting_init(status: dict[str, Any]) -> dict[str, Any]:
    for container in status.get("initContainerStatuses") or []:
        found = (container.get("state") or {}).get("waiting")
        if found and found.get("reason") != "PodInitializing":
            return dict(found)
    return {}


def _condition(condition: dict[str, Any] | None) -> Condition | None:
    if condition is None:
        return None
    since = _time(condition.get("lastTransitionTime"))
    return Condition(condition.get("reason") or "", _line(condition.get("message")), since)


def _time(text: str | None) -> float:
    return parse_time(text) if text else 0.0


def _noted_time(text: str | None) -> float:
    """Of an annotation, which anybody can have changed."""
    try:
        return _time(text)
    except (ValueError, OverflowError):
        return 0.0


def _number(text: str | None) -> int:
    return whole_number(text or "") or 0


def _line(text: str | None) -> str:
    return read_words(text)[:1000]
