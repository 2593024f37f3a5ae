"""What no watch tells, looked at now and then in one thread: progress in the store, warnings, a queue's reasons."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from atb.documents.attempt import Progress
from atb.errors import AtbError
from atb.storage import Store
from launcher.kubernetes.api.client import Cluster
from launcher.kubernetes.api.requests import ApiError
from launcher.kubernetes.api.responses import parse_time
from launcher.kubernetes.control.observe import WarningEvent
from launcher.kubernetes.objects.kueue import queue_reasons, queue_version
from launcher.records.progress import ProgressReader

PROGRESS_SECONDS = 5.0
WARNINGS_SECONDS = 30.0
QUEUE_SECONDS = 20.0


class Poller:
    """Looks regularly, and hands what it finds to the three callables. What can't be had is asked for again later."""

    def __init__(
        self,
        cluster: Cluster,
        store: Store,
        run: str,
        *,
        on_progress: Callable[[dict[str, Progress]], None],
        on_warnings: Callable[[dict[str, WarningEvent]], None],
        on_queue: Callable[[dict[str, str]], None],
    ) -> None:
        self.want_warnings = False
        """Whether some Job has waited long enough for its warnings to be worth a request."""
        self.want_queue = False
        """Whether some Job waits in a queue."""
        self._cluster = cluster
        self._reader = ProgressReader(store, run)
        self._on_progress, self._on_trouble, self._on_queue = on_progress, on_warnings, on_queue
        self._queue_version: str | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="signals", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End soon."""
        self._stopping.set()

    def _run(self) -> None:
        due = {"progress": 0.0, "trouble": 0.0, "queue": 0.0}
        looks: dict[str, tuple[float, Callable[[], bool], Callable[[], None]]] = {
            "progress": (PROGRESS_SECONDS, lambda: True, self._look_at_progress),
            "trouble": (WARNINGS_SECONDS, lambda: self.want_warnings, self._look_at_trouble),
            "queue": (QUEUE_SECONDS, lambda: self.want_queue, self._look_at_queue),
        }
        while not self._stopping.wait(0.2):
            for name, (period, wanted, look) in looks.items():
                if time.monotonic() >= due[name] and wanted():
                    try:
                        look()
                    except AtbError:
                        pass  # the table is a little behind; what decides comes by other ways
                    due[name] = time.monotonic() + period

    def _look_at_progress(self) -> None:
        if moved := self._reader.read_changed():
            self._on_progress(moved)

    def _look_at_trouble(self) -> None:
        self._on_trouble(read_warnings(self._cluster))

    def _look_at_queue(self) -> None:
        self._queue_version = self._queue_version or queue_version(self._cluster)
        if self._queue_version:
            self._on_queue(queue_reasons(self._cluster, self._queue_version))


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
