"""When a scheduled run was due and what it is called: the same for every Pod of a Job, however late it starts.

A CronJob writes the time onto its Job, not onto the Pod, so the launcher in a Pod reads the Job it belongs to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from atb.contract.labels import LABEL_VALUE_MAX, safe_segment
from atb.errors import SpecError
from launcher.kubernetes.api import requests

if TYPE_CHECKING:
    from launcher.kubernetes.api.client import Cluster

JOB_VARIABLE = "ATB_JOB_NAME"
"""Set in a schedule's Pod to its Job's name, by the downward API from the label batch.kubernetes.io/job-name."""

SCHEDULED_ANNOTATION = "batch.kubernetes.io/cronjob-scheduled-timestamp"
"""On a Job that a CronJob made: when it was due, RFC 3339 in the schedule's time zone."""


@dataclass(frozen=True)
class Due:
    """The instant a run's data is cut at, in words where it comes from, and the uid of the CronJob if one is known."""

    at: datetime
    source: str
    owner: str = ""


def read_due(environment: Mapping[str, str]) -> Due:
    """When the Job of this Pod was due. Raises SpecError outside a schedule's Pod, ApiError."""
    from launcher.kubernetes.api.connect import open_cluster

    cluster = open_cluster()
    try:
        return find_due(cluster, environment)
    finally:
        cluster.close()


def find_due(cluster: Cluster, environment: Mapping[str, str]) -> Due:
    """When the Job of this Pod was due. Raises SpecError outside a schedule's Pod, ApiError."""
    name = environment.get(JOB_VARIABLE)
    if not name:
        raise SpecError(
            f"--schedule is for the Pods of a CronJob, which have {JOB_VARIABLE}; by hand give --run NAME --as-of TIME"
        )
    due: Due = cluster.send(requests.get("jobs", cluster.namespace, name), due_of)
    return due


def due_of(job: Mapping[str, Any]) -> Due:
    """When a Job was due: by its CronJob, else, for one that was fired by hand, when it was created."""
    metadata = job["metadata"]
    scheduled = (metadata.get("annotations") or {}).get(SCHEDULED_ANNOTATION)
    owners = metadata.get("ownerReferences") or []
    owner = next((each["uid"] for each in owners if each.get("kind") == "CronJob"), "")
    if scheduled:
        return Due(_instant(scheduled), f"the schedule of Job {metadata['name']}", owner)
    created = _instant(metadata["creationTimestamp"])
    return Due(created, f"the creation of Job {metadata['name']}, which was fired by hand", owner)


def run_name(schedule: str, at: datetime) -> str:
    """The run of a schedule that was due then, in 63 characters: a restarted launcher continues it."""
    stamp = f"{at.astimezone(UTC):%Y%m%d-%H%M%S}"
    return f"{safe_segment(schedule, limit=LABEL_VALUE_MAX - 1 - len(stamp))}-{stamp}"


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)
