"""A run as the store has it, read once: table, manifest, page, promotion and exit code are made from it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

from atb.contract import keys
from atb.contract.runs import validate_run
from atb.documents.manifest import Manifest, ManifestJob
from atb.documents.plan import Plan, PlannedJob
from atb.documents.result import Result
from atb.documents.worker import WorkerState
from atb.errors import NotFound, PreconditionFailed, SpecError, Unreadable
from atb.registry.candidate import Candidate, make_candidate
from atb.registry.champions import ModelKey
from atb.storage import Entry, Store
from atb.storage.quarantine import set_aside
from atb.storage.read import map_calls, read_document
from atb.storage.store_clock import read_clock
from launcher.records.job_record import JobRecord, ResultSummary, read_files, read_result_head, summarise, summary_of
from launcher.records.leases import Rules
from launcher.records.listing import JobFiles, RunFiles, list_jobs, list_run

READERS = 16
"""Threads that read documents."""
_JOBS_AHEAD = 16
"""Jobs queued per thread, so that there are some to read while the next page of jobs is listed."""


@dataclass(frozen=True)
class RunRecord:
    """The plan and what each job left. ``previous``: the results, by job, that skipped jobs refer to. ``problems``:
    the documents that can't be read, each with its key and what to do."""

    plan: Plan
    jobs: Mapping[str, JobRecord]
    previous: Mapping[str, ResultSummary]
    problems: tuple[Unreadable, ...] = ()
    workers: tuple[WorkerState, ...] = ()

    @classmethod
    def load(cls, store: Store, run: str, *, afresh: bool = False) -> RunRecord:
        """Read a run: only the documents that decide, several at a time, as its jobs are listed. ``afresh``: every
        result, also where an earlier manifest has kept what the books need of it, for whoever wants the candidates too.

        Raises SpecError where there is no such run, Unreadable where its plan can't be read and there is no result to
        make one from, StoreError.
        """
        files = list_run(store, validate_run(run))
        if files.plan is None:
            raise SpecError(f"there is no run {run} in {store.url}; see: atb-launch list")
        problems: list[Unreadable] = []
        # before the plan: to read it takes most memory
        known = {} if afresh else _read_known(store, run, files.manifest, problems)
        try:
            plan = read_document(store, Plan, files.plan.key, entry=files.plan, run=run)
        except Unreadable as problem:
            plan = _recover_plan(store, run, files, problem)
            problems.append(problem)
        return cls._read(store, plan, files, known, problems)

    @classmethod
    def of(cls, store: Store, plan: Plan) -> RunRecord:
        """Read the run when its plan is already loaded. Raises StoreError."""
        files, problems = list_run(store, plan.run), list[Unreadable]()
        return cls._read(store, plan, files, _read_known(store, plan.run, files.manifest, problems), problems)

    @classmethod
    def _read(
        cls, store: Store, plan: Plan, files: RunFiles, known: Mapping[str, ManifestJob], problems: list[Unreadable]
    ) -> RunRecord:
        run = plan.run
        planned = {job.job: job for job in plan.to_run}

        def read(job: str, of_job: JobFiles) -> JobRecord:
            of_job.heard = max(of_job.heard, files.progress.get(job, 0.0))
            model_key = ModelKey.of(planned[job].spec)
            earlier = summary_of(known[job], planned[job].spec_digest) if job in known else None
            found = read_files(store, run, job, of_job, earlier, model_key)
            return _of_spec(planned[job], found)

        listed = (each for each in (list_jobs(store, run) if planned else ()) if each[0] in planned)
        found = dict(map_calls(store, lambda each: (each[0], read(*each)), listed, ahead=_JOBS_AHEAD))
        jobs = {job: found.get(job) or JobRecord() for job in planned}
        previous = dict(_read_previous(store, plan, problems))
        workers = tuple(_read_workers(store, run, files, problems))
        jobs = _without_lost(store, jobs)
        problems += [problem for record in jobs.values() for problem in record.problems]
        return cls(plan, jobs, previous, tuple(problems), workers)

    @property
    def model_keys(self) -> list[ModelKey]:
        """Of all jobs, in the plan's order."""
        return [ModelKey.of(planned.spec) for planned in self.plan.jobs]

    def left(self) -> list[PlannedJob]:
        """The jobs to run that have no committed result, in the plan's order."""
        return [job for job in self.plan.to_run if self.jobs[job.job].result is None]

    def set_aside_results(self, store: Store) -> list[str]:
        """Move results that can't be read out of the way, so that their jobs can be done again; returns where to. One
        that has been written anew meanwhile stays. Raises Denied for one that this user may not read, StoreError.
        """
        bad = {keys.result(self.plan.run, job): record for job, record in self.jobs.items() if record.result is None}
        moved = []
        for problem in self.problems:
            if problem.key in bad:
                with suppress(NotFound, PreconditionFailed):
                    moved.append(set_aside(store, problem.key))
        return moved

    def read_results(self, store: Store, jobs: Iterable[str] | None = None) -> Iterator[Result | Unreadable]:
        """The whole results of the jobs that have one, or of some of them; a few are read ahead, never all kept.

        Raises StoreError.
        """
        return map_calls(store, partial(self.read_result, store), self.with_result(jobs))

    def read_result(self, store: Store, job: str) -> Result | Unreadable:
        """The whole result of a job that has one. Raises StoreError."""
        key = keys.result(self.plan.run, job)
        try:
            return read_document(store, Result, key, run=self.plan.run, job=job)
        except (Unreadable, NotFound) as problem:
            return Unreadable(str(problem), key)

    def read_candidates(self, store: Store) -> Iterator[Candidate]:
        """What the evidence of each result is weighed by, in the plan's order. Only results that were not read with the
        record, since an earlier manifest had kept what it needs of them, are read. Raises StoreError."""
        specs = {planned.job: planned.spec for planned in self.plan.to_run}

        def read(job: str) -> Candidate | None:
            known = self.jobs[job].candidate
            if known is not None:
                return known
            try:
                return make_candidate(read_result_head(store, self.plan.run, job), ModelKey.of(specs[job]))
            except (Unreadable, NotFound):
                return None

        return (found for found in map_calls(store, read, self.with_result()) if found is not None)

    def with_result(self, jobs: Iterable[str] | None = None) -> list[str]:
        """The jobs, of all or of some, that have a result."""
        return [job for job in (self.jobs if jobs is None else jobs) if self.jobs[job].result is not None]


def _of_spec(planned: PlannedJob, record: JobRecord) -> JobRecord:
    """A result of another spec at the job's place is not its result."""
    result = record.result
    if result is None or result.spec_digest == planned.spec_digest:
        return record
    problem = Unreadable(
        f"{result.result} is the result of a different spec ({result.spec_digest[:12]}, the plan says "
        f"{planned.spec_digest[:12]}); see: atb-launch store check"
    )
    return replace(record, result=None, candidate=None, problems=(*record.problems, problem))


def _read_known(store: Store, run: str, entry: Entry | None, problems: list[Unreadable]) -> dict[str, ManifestJob]:
    """What an earlier manifest kept of jobs. It saves reading the results that have not changed since."""
    if entry is None:
        return {}
    try:
        return {job.job: job for job in read_document(store, Manifest, entry.key, entry=entry, run=run).jobs}
    except Unreadable as problem:
        problems.append(problem)
    except NotFound:
        pass
    return {}


def _read_previous(store: Store, plan: Plan, problems: list[Unreadable]) -> Iterator[tuple[str, ResultSummary]]:
    def read(planned: PlannedJob) -> ResultSummary | Unreadable | None:
        try:
            found = summarise(read_result_head(store, planned.previous_run or "", planned.previous_job or ""))
            return found if found.spec_digest == planned.spec_digest else None
        except Unreadable as problem:
            return problem
        except NotFound:
            return None  # the earlier run was cleaned away since

    skipped = [job for job in plan.jobs if job.action == "skip" and job.previous_run and job.previous_job]
    for planned, found in zip(skipped, map_calls(store, read, skipped), strict=True):
        if isinstance(found, Unreadable):
            problems.append(found)
        elif found is not None:
            yield planned.job, found


def _read_workers(store: Store, run: str, files: RunFiles, problems: list[Unreadable]) -> Iterator[WorkerState]:
    """The workers that did the run's jobs; launchers that only followed left a note there, too. Without one that can't
    be read, what was held is less."""

    def read(entry: Entry) -> WorkerState | None:
        name = entry.key.removeprefix(keys.workers_prefix(run)).removesuffix(".json")
        try:
            return read_document(store, WorkerState, entry.key, entry=entry, worker=name)
        except Unreadable as problem:
            problems.append(problem)
        except NotFound:
            pass
        return None

    yield from (worker for worker in map_calls(store, read, files.workers) if worker is not None and worker.slots)


def _without_lost(store: Store, jobs: dict[str, JobRecord]) -> dict[str, JobRecord]:
    """Jobs whose attempt has written nothing for a lease are marked as lost."""
    open_jobs = {
        job: record
        for job, record in jobs.items()
        if record.result is None and record.attempts and not record.ended and record.report is None
    }
    if not open_jobs:
        return jobs
    now, lease = read_clock(store), Rules().lease
    return jobs | {
        job: replace(record, lost=_say_lost(record.heard))
        for job, record in open_jobs.items()
        if abs(now - record.heard) > lease
    }


def _say_lost(heard: float) -> str:
    return f"not heard of since {datetime.fromtimestamp(heard, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _recover_plan(store: Store, run: str, files: RunFiles, problem: Unreadable) -> Plan:
    """A plan of the jobs that have a result, where the run's own can't be read: to look at it, never to resume it."""
    assert files.plan is not None
    jobs = []
    for job, found in list_jobs(store, run):
        if found.result is None:
            continue
        try:
            result = read_document(store, Result, found.result.key, entry=found.result, run=run, job=job)
            jobs.append(PlannedJob(job=job, spec=result.spec, spec_digest=result.spec_digest))
        except (Unreadable, NotFound, ValueError):
            continue
    if not jobs:
        raise Unreadable(f"{problem}; nothing of run {run} is known without it", problem.key) from None
    return Plan(run=run, created=files.plan.modified, backend="unknown", jobs=tuple(jobs))
