"""What is known of a run's Jobs and Pods, kept in step with what the watches tell."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from launcher.kubernetes.api.informer import Change, Changed, Gone, Listed
from launcher.kubernetes.control.diagnose import INFRASTRUCTURE, diagnose_ended
from launcher.kubernetes.control.observe import Trouble
from launcher.kubernetes.objects.job_status import JobFacts, PodFacts, keep_pull_error

_Facts = TypeVar("_Facts", JobFacts, PodFacts)


class Known:
    """Jobs and Pods by the job they belong to. Applying a change twice is the same as once."""

    def __init__(self, jobs: Iterable[str]) -> None:
        self.jobs: dict[str, dict[str, JobFacts]] = {job: {} for job in jobs}
        self.pods: dict[str, dict[str, PodFacts]] = {job: {} for job in self.jobs}
        self.trouble: dict[str, Trouble] = {}
        """The latest warning about a Job or Pod, by its name."""
        self.created: set[str] = set()
        """Jobs of which a Job has been there."""
        self.dirty: set[str] = set(self.jobs)
        """Jobs about which something new is known."""
        self.lost_on: set[tuple[str, str, str]] = set()
        """(node, job, category) of each Pod that its node failed."""
        self._owners: dict[str, str] = {}

    def latest(self, job: str) -> JobFacts | None:
        """The Job of the last try."""
        return max(self.jobs[job].values(), key=lambda facts: facts.ordinal, default=None)

    def tries(self, job: str) -> list[JobFacts]:
        """The Jobs of all tries that are still there, in order."""
        return sorted(self.jobs[job].values(), key=lambda facts: facts.ordinal)

    def apply_job(self, change: Change[JobFacts]) -> None:
        """Take in a change of a Job."""
        self._apply(self.jobs, change)

    def apply_pod(self, change: Change[PodFacts]) -> None:
        """Take in a change of a Pod."""
        self._apply(self.pods, change)

    def keep_created(self, facts: JobFacts) -> None:
        """Take in a Job from the answer to its creation, unless the watch was faster."""
        if facts.name not in self.jobs[facts.job]:
            self._keep(self.jobs, facts)

    def apply_trouble(self, found: dict[str, Trouble]) -> None:
        """Take in warnings."""
        for name, trouble in found.items():
            if (job := self._owners.get(name)) is not None and self.trouble.get(name) != trouble:
                self.trouble[name] = trouble
                self.dirty.add(job)

    def _apply(self, shelf: dict[str, dict[str, _Facts]], change: Change[_Facts]) -> None:
        match change:
            case Listed(objects):
                for job, known in shelf.items():
                    for name in [name for name in known if name not in objects]:
                        del known[name]
                        self.dirty.add(job)
                for facts in objects.values():
                    self._keep(shelf, facts)
            case Changed(_, facts):
                self._keep(shelf, facts)
            case Gone(name) if name in self._owners:
                shelf[self._owners[name]].pop(name, None)
                self.dirty.add(self._owners[name])

    def _keep(self, shelf: dict[str, dict[str, _Facts]], facts: _Facts) -> None:
        known = shelf.get(facts.job)
        if known is None:
            return  # of this run's name, and not in its plan
        if isinstance(facts, PodFacts):
            old = known.get(facts.name)
            facts = keep_pull_error(old, facts)
            if facts.phase == "Failed" and (finding := diagnose_ended(facts)).category in INFRASTRUCTURE:
                self.lost_on.add((facts.node, facts.job, finding.category))
        else:
            self.created.add(facts.job)
        known[facts.name] = facts
        self._owners[facts.name] = facts.job
        self.dirty.add(facts.job)
