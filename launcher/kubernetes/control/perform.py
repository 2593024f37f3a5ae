"""Doing what was decided: each action as requests to the API server and the store. The outcome is a value."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from atb.contract import keys, labels
from atb.documents.attempt import Progress, Verdict
from atb.documents.plan import Plan
from atb.errors import AtbError, SpecError, StoreError
from atb.storage import Store
from launcher.kubernetes.api.client import Cluster
from launcher.kubernetes.api.rate_limit import RateLimit
from launcher.kubernetes.api.requests import ApiError
from launcher.kubernetes.api.responses import format_time
from launcher.kubernetes.control import actions
from launcher.kubernetes.control.actions import (
    Action,
    Cancelled,
    Create,
    Created,
    Gone,
    LookForResult,
    PutOff,
    Refused,
    StoreSilent,
    Unanswered,
)
from launcher.kubernetes.objects.ensure import create_job, delete_object, find_owner, give_up_job, mark_owner, notes_of
from launcher.kubernetes.objects.jobs import JobAttempt, build_job
from launcher.kubernetes.objects.kueue import queue_reasons, queue_version
from launcher.kubernetes.objects.pod import Target
from launcher.kubernetes.objects.warnings import read_warnings
from launcher.kubernetes.options import ClusterOptions
from launcher.records.listing import latest_attempt
from launcher.records.memory_needs import remember_memory
from launcher.records.progress import Committed, ProgressReader, read_result

Build = Callable[[Any, Target, ClusterOptions, JobAttempt], dict[str, Any]]


class Performer:
    """Does the actions of one run. Called from many threads, with each kind of look one at a time."""

    def __init__(
        self,
        cluster: Cluster,
        store: Store,
        plan: Plan,
        options: ClusterOptions,
        target: Target,
        build: Build = build_job,
    ) -> None:
        self._cluster, self._store, self._options, self._target, self._build = cluster, store, options, target, build
        self._run, self._planned = plan.run, {job.job: job for job in plan.to_run}
        self._rate = RateLimit(options.create_rate, cluster.clock)
        self._progress = ProgressReader(store.within(0), plan.run)
        self._queue_version: str | None = None

    def perform(self, action: Action) -> Any:
        """Perform it; the outcome is for ``apply.finish``. Raises AtbError where the launcher can't continue."""
        try:
            return self._perform(action)
        except ApiError as error:
            if not error.transient and (error.status == 404 or isinstance(action, actions.Delete)):
                raise  # the run has been removed or cancelled
            return Unanswered(str(error))  # whatever it is: all others are followed, and this is asked again

    def _perform(self, action: Action) -> Any:
        match action:
            case actions.Create():
                return self._create(action)
            case actions.LookForResult():
                return self._look_for_result(action)
            case actions.GiveUp(_, status, category, reason):
                return None if give_up_job(self._cluster, status, category, reason) else Gone()
            case actions.Delete(_, status):
                return None if delete_object(self._cluster, "jobs", status.name) else Gone()
            case actions.RemoveFinished():
                self._remove_finished(action)
            case actions.WriteVerdict():
                write_verdict(self._store, self._run, action)
            case actions.RememberMemory(job, memory, peak_bytes, now):
                remember_memory(self._store, self._run, self._planned[job], memory, peak_bytes, now)
            case actions.MarkCreated(now):
                owner = mark_owner(self._cluster, self._run, {labels.CREATED_ANNOTATION: format_time(now)})
                return Cancelled() if labels.CANCELLED_ANNOTATION in notes_of(owner) else None
            case actions.ReadProgress() | actions.ReadWarnings() | actions.ReadQueue():
                try:
                    return self._look(action)
                except StoreError as error:
                    return StoreSilent(str(error)) if error.retry_seconds else None
                except AtbError:
                    return None  # what decides comes by other ways
        return None

    def _create(self, action: Create) -> Created | PutOff | Refused | Cancelled:
        if action.again and self._is_cancelled():
            return Cancelled()
        if action.fresh:
            self._store.delete(keys.verdict(self._run, action.job))
        body = self._build(self._planned[action.job], self._target, self._options, action.attempt)
        self._rate.wait()
        try:
            status = create_job(self._cluster, body)
        except ApiError as error:
            quota = "exceeded quota" in str(error)
            # a login that has expired says nothing of the Job, and neither does what is not of Kubernetes
            own = isinstance(error.body, dict) and error.body.get("kind") == "Status" and error.status != 401
            if quota or error.transient or not own:
                return PutOff("quota" if quota else "unavailable", str(error))
            return Refused(str(error))
        except SpecError as error:
            return Refused(str(error))
        answered = self._cluster.clock.monotonic()
        # checked again: a cancel in between did not see this Job, so we must delete it
        return Created(status, answered, cancelled=action.again and self._is_cancelled())

    def _look_for_result(self, action: LookForResult) -> tuple[Committed | None, bool]:
        cancelled = action.vanished and self._is_cancelled()
        return read_result(self._store, self._run, action.job), cancelled

    def _remove_finished(self, action: actions.RemoveFinished) -> None:
        kept = {keys.attempt(self._run, action.job, action.attempt, name) for name in ("log.txt", "exit.json")}
        try:
            stored = {entry.key for entry in self._store.list(keys.attempts_prefix(self._run, action.job))}
            if not kept <= stored:
                return  # the Pod has the only log; the Job goes by its TTL
            for name in action.names:
                delete_object(self._cluster, "jobs", name)
        except ApiError as error:
            if error.transient:
                raise
        except StoreError:
            pass  # housekeeping: no reason to leave the run

    def _is_cancelled(self) -> bool:
        return labels.CANCELLED_ANNOTATION in notes_of(find_owner(self._cluster, self._run))

    def _look(self, look: actions.Look) -> dict[str, Progress] | dict[str, Any] | None:
        match look:
            case actions.ReadProgress():
                return self._progress.read_changed()
            case actions.ReadWarnings():
                return read_warnings(self._cluster)
            case actions.ReadQueue():
                self._queue_version = self._queue_version or queue_version(self._cluster)
                return queue_reasons(self._cluster, self._queue_version) if self._queue_version else None


def write_verdict(store: Store, run: str, action: actions.WriteVerdict) -> None:
    """Leave in the store why a job has no result, for the manifest and later readers. Raises StoreError."""
    found = action.found
    # the store counts attempts over resumes, and a verdict is void once a later one has begun
    prefix = keys.attempts_prefix(run, action.job)
    begun = latest_attempt([f"attempts/{entry.key[len(prefix) :]}" for entry in store.list(prefix)])
    verdict = Verdict(
        job=action.job,
        state="interrupted" if found.state == "interrupted" else "failed",
        category=found.category,
        reason=found.reason,
        node=found.node or None,
        attempts=max(found.attempts, begun),
        memory_limit=action.latest.memory if action.latest else None,
        recorded=datetime.fromtimestamp(action.now, UTC),
    )
    store.put(keys.verdict(run, action.job), verdict.to_bytes())
