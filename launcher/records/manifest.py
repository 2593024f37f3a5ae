"""The manifest, from what a run left in the store: collecting twice gives the same bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import ClassVar

from pydantic import AwareDatetime

from atb.contract import keys
from atb.documents.manifest import Manifest, ManifestJob, Problem, State, Usage
from atb.documents.plan import PlannedJob
from atb.errors import Denied, NotFound, Unreadable
from atb.schema import Document, Part
from atb.storage import Store
from atb.storage.read import find_entry, map_calls, read_document
from launcher.records.job_record import JobRecord, ResultSummary, outcome_of
from launcher.records.listing import run_folders
from launcher.records.liveness import read_launcher
from launcher.records.run_record import RunRecord


def build_manifest(record: RunRecord) -> Manifest:
    """The outcome of a run."""
    jobs = tuple(
        _skipped(planned, record.previous.get(planned.job))
        if planned.action == "skip"
        else _job(planned, record.jobs.get(planned.job, JobRecord()))
        for planned in record.plan.jobs
    )
    own = keys.manifest(record.plan.run)
    problems = tuple(
        Problem(key=problem.key, problem=str(problem)) for problem in record.problems if problem.key != own
    )
    usage = measure_usage(record)
    return Manifest(run=record.plan.run, created=record.plan.created, jobs=jobs, problems=problems, usage=usage)


def measure_usage(record: RunRecord) -> Usage | None:
    """What the run's own jobs used of what they held; None before any has a result."""
    done = [job.result for job in record.jobs.values() if job.result is not None]
    if not done:
        return None
    reports = [job.report for job in record.jobs.values() if job.result is None and job.report is not None]
    startup = sum(result.startup_seconds for result in done)
    held = startup + sum(result.seconds for result in done)
    held += sum((report.finished - report.started).total_seconds() for report in reports)
    slot_seconds = 0.0
    if record.workers:
        times = [(worker, (worker.finished or worker.updated) - worker.started) for worker in record.workers]
        held = sum(time.total_seconds() * max(1, worker.gpus) for worker, time in times)
        slot_seconds = sum(time.total_seconds() * worker.slots for worker, time in times)
        loads = ((worker, worker.ready - worker.started) for worker in record.workers if worker.ready)
        startup = sum(time.total_seconds() * max(1, worker.gpus) for worker, time in loads)
    return Usage(
        fit_seconds=sum(result.fit_seconds for result in done),
        held_seconds=held,
        startup_seconds=startup,
        jobs=len(done),
        workers=len(record.workers),
        gpus=sum(worker.gpus for worker in record.workers),
        slots=sum(worker.slots for worker in record.workers),
        slot_seconds=slot_seconds,
    )


def collect(store: Store, record: RunRecord) -> Manifest:
    """Build the manifest and write it next to the plan. Raises StoreError."""
    manifest = build_manifest(record)
    store.put(keys.manifest(manifest.run), manifest.to_bytes())
    return manifest


class _JobState(Part):
    state: State


class _ManifestHead(Document):
    """The part of a manifest that a list of runs needs."""

    kind: ClassVar[str] = "manifest"
    largest: ClassVar[int] = Manifest.largest

    run: str
    created: AwareDatetime
    jobs: tuple[_JobState, ...]


@dataclass(frozen=True)
class ListedRun:
    """A run of a list. ``note``: what is to be known beside its jobs by state, or why nothing else is."""

    run: str
    created: datetime | None = None
    jobs: Mapping[State, int] = field(default_factory=dict)
    note: str = ""

    @property
    def words(self) -> str:
        """For people."""
        if self.created is None:
            return self.note
        counts = ", ".join(f"{number} {state}" for state, number in self.jobs.items())
        return f"{self.created:%Y-%m-%d %H:%M} UTC  {counts}" + (f"; {self.note}" if self.note else "")


def list_runs(store: Store) -> list[ListedRun]:
    """Each run and its outcome, the latest first, by when it was planned. Raises StoreError.

    A run that has not been collected yet has no manifest, and its note says so.
    """

    def describe(run: str) -> tuple[datetime, ListedRun] | None:
        try:
            manifest = read_document(store, _ManifestHead, keys.manifest(run), run=run)
            counts = dict(Counter(job.state for job in manifest.jobs))
            return manifest.created, ListedRun(run, manifest.created, counts)
        except NotFound:
            listed = None
        except Unreadable as problem:
            then = "" if isinstance(problem, Denied) else f"; make it again with: atb-launch collect {run}"
            listed = ListedRun(run, note=f"unreadable: {problem}{then}")
        try:
            plan = find_entry(store, keys.plan(run))
            if plan is not None:
                listed = listed or _describe_open(store, run)
                return listed.created or plan.modified, listed
        except Unreadable as problem:
            listed = listed or ListedRun(run, note=f"unreadable: {problem}")
        # a training by ``atb train job`` alone leaves results and neither plan nor manifest
        return None if listed is None else (datetime.max.replace(tzinfo=UTC), listed)

    found = filter(None, map_calls(store, describe, reversed(run_folders(store))))
    return [listed for _, listed in sorted(found, key=lambda each: each[0], reverse=True)]


def _describe_open(store: Store, run: str) -> ListedRun:
    """A run that has not been collected yet: whether anybody still follows it."""
    unreadable: list[Unreadable] = []
    launcher = read_launcher(store, run, unreadable)
    if launcher is not None and launcher.died:
        return ListedRun(run, note=f"its launcher has died ({launcher.words}); resume with: atb-launch --resume {run}")
    if launcher is not None and launcher.alive:
        return ListedRun(run, note=f"running; not collected yet; see: atb-launch status {run}")
    manifest = build_manifest(RunRecord.load(store, run))
    counts = Counter(job.state for job in manifest.jobs)
    command = "status" if counts["running"] else "collect"
    notes = [f"not collected yet: atb-launch {command} {run}", *(f"unreadable: {problem}" for problem in unreadable)]
    return ListedRun(run, manifest.created, dict(counts), "; ".join(notes))


def _job(planned: PlannedJob, record: JobRecord) -> ManifestJob:
    outcome, report = outcome_of(record), record.report
    if record.result is not None:
        return _with_result(planned, record.result, outcome.state, "", record.attempts)
    return ManifestJob(
        job=planned.job,
        symbol=planned.spec.symbol,
        preset=planned.spec.preset,
        state=outcome.state,
        category=outcome.category,
        reason=outcome.reason,
        attempts=record.attempts,
        epochs=report.epochs if report else None,
        seconds=(report.finished - report.started).total_seconds() if report else None,
        peak_memory_bytes=report.peak_memory_bytes if report else None,
    )


def _skipped(planned: PlannedJob, result: ResultSummary | None) -> ManifestJob:
    if result is not None:
        return _with_result(planned, result, "skipped", planned.reason, 0)
    job = ManifestJob(
        job=planned.job, symbol=planned.spec.symbol, preset=planned.spec.preset, state="skipped", reason=planned.reason
    )
    if planned.previous_job is None:  # a plan of an earlier version, which doesn't say where the result is
        return job
    reason = f"it was skipped as {planned.reason}, but that result is no longer there; --resume trains it"
    return job.model_copy(update={"state": "failed", "category": "gone", "reason": reason})


def _with_result(planned: PlannedJob, result: ResultSummary, state: State, reason: str, attempts: int) -> ManifestJob:
    """All is validated already, and checking it once more would copy each mapping: a run has thousands."""
    return ManifestJob.model_construct(
        job=planned.job,
        symbol=planned.spec.symbol,
        preset=planned.spec.preset,
        state=state,
        category="",
        reason=reason,
        attempts=attempts,
        epochs=result.epochs,
        metrics=result.metrics,
        baselines=result.baselines,
        gate=result.gate,
        seconds=result.seconds,
        fit_seconds=result.fit_seconds,
        startup_seconds=result.startup_seconds,
        stages=result.stages,
        started=result.started,
        result=result.result,
        model=result.model,
        synthetic=result.synthetic,
        peak_memory_bytes=result.peak_memory_bytes,
        result_etag=result.etag or None,
    )
