"""The outcome of a job, from what it left in the store: one reading for the manifest and the local backend."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from atb.contract import bundle, exits, keys
from atb.documents.attempt import ExitReport, Verdict
from atb.documents.manifest import ManifestJob, State
from atb.documents.result import FIT_STAGE, TOTAL_STAGE, Result, ResultHead, Rule
from atb.errors import NotFound, Unreadable
from atb.registry.candidate import Candidate, make_candidate
from atb.registry.champions import ModelKey
from atb.schema import Document
from atb.storage import Entry, Store
from atb.storage.read import read_document, read_head
from launcher.records.listing import JobFiles, list_job

_D = TypeVar("_D", bound=Document)


@dataclass(frozen=True, slots=True)
class ResultSummary:
    """A result as the manifest has it. ``etag`` is of the object it was read from."""

    epochs: int
    metrics: dict[str, float]
    baselines: dict[str, dict[str, float]]
    gate: tuple[Rule, ...]
    seconds: float
    fit_seconds: float
    startup_seconds: float
    stages: dict[str, float]
    started: datetime | None
    result: str
    model: str | None
    synthetic: bool
    peak_memory_bytes: int
    spec_digest: str
    etag: str = ""


@dataclass(frozen=True)
class JobRecord:
    """What one job left: its result if committed, its latest attempt's number and exit report, a verdict.

    ``ended``: the latest attempt has left an exit report, readable or not. ``lost`` says why nobody can be at work on
    an attempt that has left none. ``problems``: the documents that can't be read; a result among them is no result.
    ``candidate``: what the result's evidence is weighed by, where the result was read for it.
    """

    result: ResultSummary | None = None
    candidate: Candidate | None = None
    attempts: int = 0
    report: ExitReport | None = None
    verdict: Verdict | None = None
    ended: bool = False
    lost: str = ""
    heard: float = 0.0
    problems: tuple[Unreadable, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """A job's state with its reason."""

    state: State
    category: str = ""
    reason: str = ""


def outcome_of(record: JobRecord) -> Outcome:
    """A committed result is success whatever else is there; a later attempt makes a verdict void."""
    if record.result is not None:
        return Outcome("done")
    verdict, report = record.verdict, record.report
    if verdict is not None and verdict.attempts >= record.attempts:
        return Outcome(verdict.state, verdict.category, verdict.reason)
    if report is not None and not record.problems:
        if report.code == 0:
            return Outcome("failed", "no-result", "it exited 0 but committed no result; try --resume")
        stopped = report.code == exits.BY_CODE[143].code
        return Outcome("interrupted" if stopped else "failed", report.category, report.message)
    if record.attempts and not record.ended and not record.lost and report is None:
        return Outcome("running")
    if record.problems:
        return Outcome("failed", "unreadable", str(record.problems[0]))
    if record.lost:
        return Outcome("interrupted", "lost", record.lost)
    return Outcome("pending")


def read_record(store: Store, run: str, job: str) -> JobRecord:
    """What one job left. Raises StoreError."""
    return read_files(store, run, job, list_job(store, run, job))


def read_files(
    store: Store,
    run: str,
    job: str,
    files: JobFiles,
    known: ResultSummary | None = None,
    model_key: ModelKey | None = None,
) -> JobRecord:
    """What one job left, of the documents that were listed: only those that decide are read. ``known``: what an
    earlier manifest kept of the result, good while the object has not changed. ``model_key``: what its model is a
    candidate for. Raises StoreError."""
    record = JobRecord(attempts=files.attempts, ended=files.exit is not None, heard=files.heard)
    problems: list[Unreadable] = []
    if files.result is not None:
        if known is not None and known.etag == files.result.etag:
            return replace(record, result=known)
        try:
            found = read_result_head(store, run, job, files.result)
            candidate = make_candidate(found, model_key) if model_key else None
            return replace(record, result=summarise(found, files.result.etag), candidate=candidate)
        except Unreadable as problem:
            problems.append(problem)
        except NotFound:
            pass  # it went away
    report = _read(store, ExitReport, files.exit, problems)
    verdict = _read(store, Verdict, files.verdict, problems, job=job)
    return replace(record, report=report, verdict=verdict, problems=tuple(problems))


def _read(
    store: Store, kind: type[_D], entry: Entry | None, problems: list[Unreadable], **identity: object
) -> _D | None:
    if entry is None:
        return None
    try:
        return read_document(store, kind, entry.key, entry=entry, **identity)
    except Unreadable as problem:
        problems.append(problem)
    except NotFound:
        pass
    return None


def read_result_head(store: Store, run: str, job: str, entry: Entry | None = None) -> ResultHead | Result:
    """What the books and the evidence need of a job's result. Raises NotFound, Unreadable, StoreError."""
    return read_head(store, ResultHead, Result, keys.result(run, job), entry=entry, run=run, job=job)


def summarise(result: Result | ResultHead, etag: str = "") -> ResultSummary:
    """What the books keep of a result."""
    return ResultSummary(
        epochs=result.fit.epochs,
        metrics=result.metrics,
        baselines=result.baselines,
        gate=result.gate,
        seconds=(result.finished - result.started).total_seconds(),
        fit_seconds=next((stage.seconds for stage in result.stages if stage.name == FIT_STAGE), 0.0),
        startup_seconds=result.startup_seconds,
        stages={stage.name: stage.seconds for stage in result.stages if stage.name != TOTAL_STAGE},
        started=result.started,
        result=keys.result(result.run, result.job),
        model=next((file.key for file in result.files if file.path == bundle.MODEL), None),
        synthetic=result.bars.synthetic,
        peak_memory_bytes=result.peak_memory_bytes,
        spec_digest=result.spec_digest,
        etag=etag,
    )


def summary_of(job: ManifestJob, spec_digest: str) -> ResultSummary | None:
    """What an earlier manifest kept of a job's result; None where it was not done."""
    if job.state != "done" or job.result is None or not job.result_etag:
        return None
    return ResultSummary(
        epochs=job.epochs or 0,
        metrics=job.metrics,
        baselines=job.baselines,
        gate=job.gate,
        seconds=job.seconds or 0.0,
        fit_seconds=job.fit_seconds or 0.0,
        startup_seconds=job.startup_seconds or 0.0,
        stages=job.stages,
        started=job.started,
        result=job.result,
        model=job.model,
        synthetic=job.synthetic,
        peak_memory_bytes=job.peak_memory_bytes or 0,
        spec_digest=spec_digest,
        etag=job.result_etag,
    )
