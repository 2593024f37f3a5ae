"""What is known of a run's Jobs and Pods, kept in step with what the watches tell."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from launcher.kubernetes.api.informer import Change, Changed, Deleted, Listed
from launcher.kubernetes.control.diagnose import diagnose_ended
from launcher.kubernetes.control.observe import WarningEvent
from launcher.kubernetes.objects.job_status import JobStatus, PodStatus, keep_pull_error
from launcher.records.categories import INFRASTRUCTURE

_Facts = TypeVar("_Facts", JobStatus, PodStatus)


class ObjectCache:
    """Jobs and Pods by the job they belong to. Applying a change twice is the same as once."""

    def __init__(self, jobs: Iterable[str]) -> None:
        self.jobs: dict[str, dict[str, JobStatus]] = {job: {} for job in jobs}
        self.pods: dict[str, dict[str, PodStatus]] = {job: {} for job in self.jobs}
        self.warnings: dict[str, WarningEvent] = {}
        """The latest warning about a Job or Pod, by its name."""
        self.created: set[str] = set()
        """Jobs of which a Job has been there."""
        self.dirty: set[str] = set(self.jobs)
        """Jobs about which something new is known."""
        self.lost_on: set[tuple[str, str, str]] = set()
        """(node, job, category) of each Pod that its node failed."""
        self._owners: dict[str, str] = {}

    def latest(self, job: str) -> JobStatus | None:
        """The Job of the last try."""
        return max(self.jobs[job].values(), key=lambda status: status.ordinal, default=None)

    def tries(self, job: str) -> list[JobStatus]:
        """The Jobs of all tries that are still there, in order."""
        return sorted(self.jobs[job].values(), key=lambda status: status.ordinal)

    def apply_job(self, change: Change[JobStatus]) -> None:
        """Take in a change of a Job."""
        self._apply(self.jobs, change)

    def apply_pod(self, change: Change[PodStatus]) -> None:
        """Take in a change of a Pod."""
        self._apply(self.pods, change)

    def keep_created(self, status: JobStatus) -> None:
        """Take in a Job from the answer to its creation, unless the watch was faster."""
        if status.name not in self.jobs[status.job]:
            self._keep(self.jobs, status)

    def apply_warnings(self, found: dict[str, WarningEvent]) -> None:
        """Take in warnings."""
        for name, trouble in found.items():
            if (job := self._owners.get(name)) is not None and self.warnings.get(name) != trouble:
                self.warnings[name] = trouble
                self.dirty.add(job)

    def _apply(self, shelf: dict[str, dict[str, _Facts]], change: Change[_Facts]) -> None:
        match change:
            case Listed(objects):
                for job, known in shelf.items():
                    for name in [name for name in known if name not in objects]:
                        del known[name]
                        self.dirty.add(job)
                for status in objects.values():
                    self._keep(shelf, status)
            case Changed(_, status):
                self._keep(shelf, status)
            case Deleted(name) if name in self._owners:
                shelf[self._owners[name]].pop(name, None)
                self.dirty.add(self._owners[name])

    def _keep(self, shelf: dict[str, dict[str, _Facts]], status: _Facts) -> None:
        known = shelf.get(status.job)
        if known is None:
            return  # of this run's name, and not in its plan
        if isinstance(status, PodStatus):
            old = known.get(status.name)
            status = keep_pull_error(old, status)
            if status.phase == "Failed" and (finding := diagnose_ended(status)).category in INFRASTRUCTURE:
                self.lost_on.add((status.node, status.job, finding.category))
        else:
            self.created.add(status.job)
        known[status.name] = status
        self._owners[status.name] = status.job
        self.dirty.add(status.job)
