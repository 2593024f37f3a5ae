"""Everything that tells of a run while it is followed: two watches, and what is looked at now and then."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from atb.documents.attempt import Progress
from atb.errors import NetworkError
from atb.storage import Store
from launcher.kubernetes.api.client import Cluster
from launcher.kubernetes.api.informer import Change, Informer, Listed, Unreachable
from launcher.kubernetes.control.object_cache import ObjectCache
from launcher.kubernetes.control.poller import Poller
from launcher.kubernetes.control.request_pool import RequestPool
from launcher.kubernetes.objects.job_status import JobStatus, PodStatus, read_job, read_pod
from launcher.kubernetes.objects.jobs import run_selector

TICK = 0.25
"""Seconds that ``drain`` waits for something to happen."""
SILENCE = 900.0
"""Seconds the API server may be unreachable before the launcher leaves; the Jobs go on."""


class EventLoop:
    """Keeps ``known`` in step. All its calls come from ``drain``, in the thread that calls it."""

    def __init__(
        self,
        cluster: Cluster,
        store: Store,
        run: str,
        known: ObjectCache,
        workers: RequestPool,
        *,
        on_progress: Callable[[dict[str, Progress]], None],
        on_queue: Callable[[dict[str, str]], None],
    ) -> None:
        self.note = ""
        """What the launcher itself last waited for."""
        self.unreachable = False
        """Whether the API server does not answer just now."""
        self._cluster, self._run, self._known, self._workers = cluster, run, known, workers
        self._listed: set[str] = set()
        self._silent_since = 0.0
        post, selector = workers.poster, run_selector(run)
        self._mirrors: list[Informer[Any]] = [
            Informer(cluster, "jobs", selector, read_job, post(self._on_job)),
            Informer(cluster, "pods", selector, read_pod, post(self._on_pod)),
        ]
        self.signals = Poller(
            cluster,
            store,
            run,
            on_progress=post(on_progress),
            on_warnings=post(known.apply_warnings),
            on_queue=post(on_queue),
        )

    def __enter__(self) -> Self:
        self._cluster.on_wait = lambda words: setattr(self, "note", words)
        self.signals.start()
        for mirror in self._mirrors:
            mirror.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cluster.on_wait = lambda words: None
        self.signals.stop()
        for mirror in self._mirrors:
            mirror.stop()

    @property
    def complete(self) -> bool:
        """Whether all Jobs and Pods that there are have been heard of."""
        return self._listed == {"jobs", "pods"}

    def drain(self) -> None:
        """Let what has been told happen. Raises what ended a watch, and NetworkError after a long silence."""
        self._workers.drain(TICK)
        for mirror in self._mirrors:
            if mirror.failed is not None:
                raise mirror.failed
        if self.unreachable and self._cluster.now() - self._silent_since > SILENCE:
            raise NetworkError(
                f"the API server {self._cluster.host} has not answered for {SILENCE / 60:.0f} minutes; the Jobs go on "
                f"without this launcher, come back with: atb-launch attach {self._run}"
            )

    def _on_job(self, change: Change[JobStatus]) -> None:
        if isinstance(change, Unreachable):
            if not self.unreachable:
                self.unreachable, self._silent_since = True, self._cluster.now()
            self.note = f"the API server does not answer: {change.error}"
            return
        self.unreachable = False
        if isinstance(change, Listed):
            self._listed.add("jobs")
        self._known.apply_job(change)

    def _on_pod(self, change: Change[PodStatus]) -> None:
        if isinstance(change, Listed):
            self._listed.add("pods")
        self._known.apply_pod(change)
