"""What the namespace's events warn about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from launcher.kubernetes.api.client import Cluster
from launcher.kubernetes.api.requests import ApiError
from launcher.kubernetes.api.responses import parse_time, read_words


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
        events, _ = cluster.list("events", _read, fields=fields)
    except ApiError as error:
        if error.status == 403:
            return {}
        raise
    found: dict[str, WarningEvent] = {}
    for about, warning in events.values():
        if about not in found or warning.at >= found[about].at:
            found[about] = warning
    return found


def _read(event: dict[str, Any]) -> tuple[str, WarningEvent]:
    """The name of the object that it is about, and what is kept of it."""
    series = event.get("series") or {}
    when = event.get("lastTimestamp") or series.get("lastObservedTime") or event.get("eventTime")
    at = parse_time(when or event["metadata"]["creationTimestamp"])
    message = read_words(event.get("message"))
    return event["involvedObject"].get("name", ""), WarningEvent(event.get("reason") or "", message, at)
