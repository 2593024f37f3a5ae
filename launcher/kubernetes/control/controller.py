"""A run's Jobs created, followed and tried again, until each has come to an end.

Everything this knows can be found again in the cluster and the store, so a launcher that is killed at any point and
attached again goes on: names are deterministic, a try's history is on its Job, a Job given up says so itself.
One thread owns all state; the watches and workers hand it what they found.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from atb.contract import keys, labels
from atb.documents.plan import Plan
from atb.documents.result import Result
from atb.storage import Store
from launcher.kubernetes.api.client import Cluster
from launcher.kubernetes.api.quantity import parse_quantity
from launcher.kubernetes.api.requests import ApiError
from launcher.kubernetes.api.responses import format_time
from launcher.kubernetes.control.creator import Build, Creator
from launcher.kubernetes.control.event_loop import EventLoop
from launcher.kubernetes.control.observe import Observation
from launcher.kubernetes.control.request_pool import RequestPool
from launcher.kubernetes.control.retry import first_attempt, next_attempt
from launcher.kubernetes.control.state import RunState
from launcher.kubernetes.control.verdict import giving_up, write_verdict
from launcher.kubernetes.objects.ensure import create_owner, find_owner, give_up_job, mark_owner, notes_of, sweep_owners
from launcher.kubernetes.objects.job_status import JobStatus
from launcher.kubernetes.objects.jobs import JobAttempt, Target, build_job
from launcher.kubernetes.options import ClusterOptions
from launcher.plan.backend import Mode
from launcher.records.categories import INFRASTRUCTURE
from launcher.records.memory_needs import read_memory_needs, remember_memory
from launcher.records.progress import read_result
from launcher.report.live_table import Row

WORKERS = 16
SCAN_SECONDS = 0.25
"""Seconds between two looks at all jobs; one that something was heard of is looked at at once."""
SHOW_SECONDS = 1.0


class RunController:
    """One run on one cluster. ``show`` is called with the rows and a note as things change."""

    def __init__(
        self,
        cluster: Cluster,
        store: Store,
        plan: Plan,
        options: ClusterOptions,
        *,
        show: Callable[[Sequence[Row], str], None] = lambda rows, note: None,
        build: Build = build_job,
    ) -> None:
        self._cluster, self._store, self._plan, self._options = cluster, store, plan, options
        self._target = Target(plan.run, store.url, store.endpoint_url)
        self._show = show
        self._sight = RunState(cluster, store, plan, options)
        self._planned, self._known = self._sight.planned, self._sight.known
        self._creator = Creator(cluster, self._planned, self._known, options, build)
        self._memory: dict[str, str] = {}
        self._to_restart: dict[str, JobStatus | None] = {}
        """Jobs that begin anew unless they have a result, and the last try seen before: the next is named after it."""
        self._given_up: set[str] = set()
        self._may_create = False
        self._found_owner = False
        """Whether some launcher was here before: what is missing may be done already."""
        self._shown = 0.0
        self._scanned = 0.0

    @property
    def bad_nodes(self) -> dict[str, frozenset[str]]:
        """Nodes that later attempts are kept off, and the symbols that failed there."""
        return self._creator.bad_nodes

    @property
    def observations(self) -> dict[str, Observation]:
        """The state of each job when it was last looked at."""
        return self._sight.observations

    def run(
        self, mode: Mode, *, wait: bool = True, stopped: Callable[[], bool] = lambda: False
    ) -> dict[str, Observation]:
        """Create what the mode says and, unless ``wait`` is false, follow to the end, or until ``stopped``.

        create: what is missing. attach: only what a creation that was cut short left out. resume: what failed, too.

        Raises SpecError where the cluster holds another run of that name, NetworkError where it stays silent.
        """
        if not self._planned:
            return {}
        self._prepare(mode)
        run, known = self._plan.run, self._known
        with (
            RequestPool(WORKERS) as self._workers,
            EventLoop(
                self._cluster,
                self._store,
                run,
                known,
                self._workers,
                on_progress=self._sight.progress.update,
                on_queue=self._on_queue,
            ) as feed,
        ):
            while not feed.complete and not stopped():
                feed.drain()
            if not stopped():
                self._begin(mode)
            self._loop(feed, wait, stopped)
        return {job: self.observations[job] for job in self._planned if job in self.observations}

    def _prepare(self, mode: Mode) -> None:
        owner = find_owner(self._cluster, self._plan.run)
        self._found_owner = owner is not None
        notes = notes_of(owner)
        if mode == "attach":
            self._sight.cancelled = cancelled = labels.CANCELLED_ANNOTATION in notes
            self._may_create = owner is not None and labels.CREATED_ANNOTATION not in notes and not cancelled
        else:
            self._may_create = True
            owner = create_owner(self._cluster, self._target)
            if notes:
                forgotten = (labels.CANCELLED_ANNOTATION, labels.CREATED_ANNOTATION)
                mark_owner(self._cluster, self._plan.run, dict.fromkeys(forgotten))
        if mode == "create":
            self._sweep()
        if self._may_create:
            self._memory = read_memory_needs(self._store, self._planned.values())
        else:
            self._known.created.update(self._planned)
        if owner is not None:
            self._target = replace(self._target, owner_uid=owner["metadata"]["uid"])

    def _sweep(self) -> None:
        try:
            sweep_owners(self._cluster)
        except ApiError:
            pass  # housekeeping: the next run tries again, and the preflight tells of a missing right

    def _begin(self, mode: Mode) -> None:
        self._sight.began = self._cluster.now()
        for job in self._planned:
            latest = self._known.latest(job)
            missing = latest is None and self._may_create
            if mode == "create" and missing and not self._found_owner:
                self._create(job, self._first_try(job, None))
            elif missing or (mode == "resume" and latest is not None and not latest.live):
                self._to_restart[job] = latest
                self._look_for_result(job)

    def _loop(self, feed: EventLoop, wait: bool, stopped: Callable[[], bool]) -> None:
        marked = not self._may_create
        while not stopped():
            feed.drain()
            self._observe_changed()
            over = self._workers.idle and len(self._sight.settled) == len(self._planned)
            if time.monotonic() < self._scanned + SCAN_SECONDS and not over:
                continue
            self._scanned = time.monotonic()
            self._creator.create_put_off(self._workers, self._target)
            self._known.dirty.update(self._sight.overdue(self._cluster.now()))
            self._observe_changed()
            feed.signals.want_warnings = self._sight.has_unexplained(self._cluster.now())
            feed.signals.want_queue = any(found.category == "queue" for found in self._sight.open())
            if not marked and len(self._known.created) == len(self._planned):
                marked = True
                self._submit("", self._mark_created)
            made = self._known.created.union(self._creator.refused).issuperset(self._planned) and not self._to_restart
            if self._workers.idle and (over or (made and not wait)):
                break
            if time.monotonic() > self._shown + SHOW_SECONDS:
                self._shown = time.monotonic()
                self._show(self._sight.rows(), self._note(feed))
        self._show(self._sight.rows(), "")

    def _mark_created(self) -> None:
        created = format_time(self._cluster.now())
        mark_owner(self._cluster, self._plan.run, {labels.CREATED_ANNOTATION: created})

    def _on_queue(self, reasons: dict[str, str]) -> None:
        self._sight.queue_reasons = reasons
        self._known.dirty.update(job for job, found in self.observations.items() if found.category == "queue")

    # what is begun

    def _submit(self, job: str, work: Callable[[], Any], done: Callable[[Any], None] = lambda _: None) -> None:
        def dirty_then_done(value: Any) -> None:
            if job:
                self._known.dirty.add(job)
            done(value)

        self._workers.submit(job, work, dirty_then_done, _raise)

    def _first_try(self, job: str, last: JobStatus | None) -> JobAttempt:
        remembered = self._memory.get(job, "")
        return first_attempt(self._options, self._cluster.now(), remembered=remembered, after=last)

    def _create(self, job: str, attempt: JobAttempt) -> None:
        self._creator.create(self._workers, self._target, job, attempt)

    def _look_for_result(self, job: str) -> None:
        vanished = not self._known.jobs[job]
        latest = self._sight.latest_uid(job)

        def work() -> tuple[Result | None, bool]:
            cancelled = vanished and labels.CANCELLED_ANNOTATION in notes_of(find_owner(self._cluster, self._plan.run))
            return read_result(self._store, self._plan.run, job), cancelled

        def looked(found: tuple[Result | None, bool]) -> None:
            result, cancelled = found
            self._sight.keep_result(job, result, latest)
            if job in self._to_restart:
                self._restart(job, self._to_restart.pop(job), result)
            else:
                self._sight.cancelled = self._sight.cancelled or cancelled

        self._submit(job, work, looked)

    def _restart(self, job: str, last: JobStatus | None, result: Result | None) -> None:
        latest = self._known.latest(job)
        if result is not None:
            return
        if latest is not None and (last is None or latest.ordinal > last.ordinal):
            return  # another launcher was faster
        key = keys.verdict(self._plan.run, job)
        attempt = self._first_try(job, last)
        self._submit(job, lambda: self._store.delete(key), lambda _: self._create(job, attempt))

    # what is seen

    def _observe_changed(self) -> None:
        now = self._cluster.now()
        dirty, self._known.dirty = self._known.dirty, set()
        for job in dirty - self._sight.settled:
            found = self._observe(job, now)
            self.observations[job] = found if self._sight.has_looked(job) or not found.final else _ending(found)
            if job in self._workers.busy:
                continue  # its end makes the job dirty again
            if found.final:
                self._settle(job, found)
            elif found.clock is not None and found.clock.is_over(now):
                self._give_up(job, found)

    def _observe(self, job: str, now: float) -> Observation:
        if (stuck := self._creator.observe(job, now)) is not None:
            return stuck
        return self._sight.observe(job, now, restarting=job in self._to_restart)

    def _settle(self, job: str, found: Observation) -> None:
        """One job has come to an end: look for its result, try again where that helps, or write down why not."""
        if not self._sight.has_looked(job):
            self._look_for_result(job)
            return
        latest = self._known.latest(job)
        if found.state == "done":
            self._sight.settled.add(job)
            result = self._sight.results[job]
            if latest is not None and latest.oom and result is not None:
                self._remember(job, latest.memory, result.peak_memory_bytes)
            return
        if found.category in INFRASTRUCTURE and found.node:
            self._known.lost_on.add((found.node, job, found.category))
        following = None
        helps = found.state == "failed" and job not in self._creator.refused and not self._sight.cancelled
        if latest is not None and helps:
            following = next_attempt(latest, found.category, found.node, self._options, self._cluster.now())
        if following is None:
            self._sight.settled.add(job)
            store, run, now = self._store, self._plan.run, self._cluster.now()
            self._submit("", lambda: write_verdict(store, run, job, found, latest, now))
            return
        if latest is not None and found.category == "oom":
            self._remember(job, following.memory, int(parse_quantity(latest.memory)))
        self._create(job, following)

    def _give_up(self, job: str, found: Observation) -> None:
        latest = self._known.latest(job)
        category, reason = giving_up(found)
        if latest is None or latest.deleting:
            self._creator.refused[job] = (category, reason)
            self._known.dirty.add(job)
        elif latest.uid not in self._given_up:
            self._given_up.add(latest.uid)
            self._submit(job, lambda: give_up_job(self._cluster, latest, category, reason))

    def _remember(self, job: str, memory: str, peak_bytes: int) -> None:
        run, planned, now = self._plan.run, self._planned[job], self._cluster.now()
        self._submit("", lambda: remember_memory(self._store, run, planned, memory, peak_bytes, now))

    def _note(self, feed: EventLoop) -> str:
        missing = len(self._planned) - len(self._known.created)
        if missing and self._may_create:
            made = f"created {len(self._known.created)} of {len(self._planned)}"
            return f"{made} · {feed.note}" if feed.note else made
        return feed.note if feed.unreachable else ""


def _ending(found: Observation) -> Observation:
    """What is shown until the store has been asked for a result."""
    return Observation("running", reason="ending", node=found.node, pod=found.pod, attempts=found.attempts)


def _raise(error: BaseException) -> None:
    raise error
