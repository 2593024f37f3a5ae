"""What became of a job, from what it left in the store: one reading for the manifest and the local backend."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

from atb.contract import exits
from atb.documents.attempt import ExitReport, Verdict
from atb.documents.manifest import State
from atb.errors import NotFound, Unreadable
from atb.schema import Document
from atb.storage import Entry, Store
from atb.storage.read import read_document
from launcher.records.listing import JobFiles, list_job
from launcher.records.summary import ResultSummary, read_summary

_D = TypeVar("_D", bound=Document)


@dataclass(frozen=True)
class JobRecord:
    """What one job left: its result if committed, its latest attempt's number and exit report, a verdict.

    ``ended``: the latest attempt has left an exit report, readable or not. ``lost`` says why nobody can be at work on
    an attempt that has left none. ``problems``: the documents that can't be read; a result among them is no result.
    """

    result: ResultSummary | None = None
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
            return Outcome("failed", "no-result", "it ended well and committed no result; try --resume")
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


def read_files(store: Store, run: str, job: str, files: JobFiles, known: ResultSummary | None = None) -> JobRecord:
    """What one job left, of the documents that were listed: only those that decide are read. ``known``: what an
    earlier manifest kept of the result, good while the object has not changed. Raises StoreError."""
    record = JobRecord(attempts=files.attempts, ended=files.exit is not None, heard=files.heard)
    problems: list[Unreadable] = []
    if files.result is not None:
        if known is not None and known.etag == files.result.etag:
            return replace(record, result=known)
        try:
            return replace(record, result=read_summary(store, run, job, files.result))
        except Unreadable as problem:
            problems.append(problem)
        except NotFound:
            pass  # it went away
    report = _read(store, ExitReport, files.exit, problems)
    verdict = _read(store, Verdict, files.verdict, problems, job=job)
    return replace(record, report=report, verdict=verdict, problems=tuple(problems))


def _read(store: Store, kind: type[_D], entry: Entry | None, problems: list[Unreadable], **said: object) -> _D | None:
    if entry is None:
        return None
    try:
        return read_document(store, kind, entry.key, entry=entry, **said)
    except Unreadable as problem:
        problems.append(problem)
    except NotFound:
        pass
    return None
