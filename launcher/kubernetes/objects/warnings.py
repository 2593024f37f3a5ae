"""What the namespace's events warn about."""

from __future__ import annotations

from dataclasses import dataclass

from launcher.kubernetes.api.client import Cluster
from launcher.kubernetes.api.requests import ApiError
from launcher.kubernetes.api.responses import parse_time


@dataclass(frozen=True, slots=True)
class WarningEvent:
    """The latest warning event about an object."""

    reason: str
    message: str
    at: float


def read_warnings(cluster: Cluster, name: str = "") -> dict[str, WarningEvent]:
    """The latest warning about each object of the namespace, or about one of them, by its name.

    Empty where events may not be listed. Core events, because EventsV1 fails on a null eventTime. Raises ApiError.
    """
    fields = f"type=Warning,involvedObject.name={name}" if name else "type=Warning"
    try:
        events, _ = cluster.list("events", lambda event: event, fields=fields)
    except ApiError as error:
        if error.status == 403:
            return {}
        raise
    found: dict[str, WarningEvent] = {}
    for event in events.values():
        about = event["involvedObject"].get("name", "")
        series = event.get("series") or {}
        when = event.get("lastTimestamp") or series.get("lastObservedTime") or event.get("eventTime")
        at = parse_time(when or event["metadata"]["creationTimestamp"])
        if about not in found or at >= found[about].at:
            message = " ".join((event.get("message") or "").split())
            found[about] = WarningEvent(event.get("reason") or "", message, at)
    return found
