"""What became of a job, from what it left in the store: one reading for the manifest and the local backend."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from atb.contract import exits, keys
from atb.documents.attempt import ExitReport, Verdict
from atb.documents.manifest import State
from atb.documents.result import Result
from atb.errors import NotFound, SpecError
from atb.storage import Store

_READERS = 16
"""Threads that read what the jobs left."""
_ATTEMPT = re.compile(r"attempts/(\d+)/([^/]+)$")


@dataclass(frozen=True)
class JobRecord:
    """What one job left: its result if committed, its latest attempt's number and exit report, a verdict."""

    result: Result | None = None
    attempts: int = 0
    report: ExitReport | None = None
    verdict: Verdict | None = None


@dataclass(frozen=True)
class Outcome:
    """A job's state with its reason."""

    state: State
    category: str = ""
    reason: str = ""


def outcome_of(traces: JobRecord) -> Outcome:
    """A committed result is success whatever else is there; a later attempt makes a verdict void."""
    if traces.result is not None:
        return Outcome("done")
    verdict = traces.verdict
    if verdict is not None and verdict.attempts >= traces.attempts:
        return Outcome(verdict.state, verdict.category, verdict.reason)
    if traces.report is not None:
        if traces.report.code == 0:
            return Outcome("failed", "no-result", "it ended well and committed no result; try --resume")
        stopped = traces.report.code == exits.BY_CODE[143].code
        return Outcome("interrupted" if stopped else "failed", traces.report.category, traces.report.message)
    if traces.attempts:
        return Outcome("running")
    return Outcome("pending")


def read_record(store: Store, run: str, job: str) -> JobRecord:
    """What one job left. Raises StoreError."""
    prefix = keys.job_prefix(run, job)
    return _read(store, run, job, [entry.key[len(prefix) :] for entry in store.list(prefix)])


def read_all_records(store: Store, run: str) -> Iterator[tuple[str, JobRecord]]:
    """What each job of a run left: one list, then only the documents that decide. Raises StoreError."""
    prefix = keys.jobs_prefix(run)
    names: dict[str, list[str]] = {}
    for entry in store.list(prefix):
        job, _, rest = entry.key[len(prefix) :].partition("/")
        names.setdefault(job, []).append(rest)
    with ThreadPoolExecutor(_READERS) as pool:
        yield from zip(names, pool.map(lambda job: _read(store, run, job, names[job]), names), strict=True)


def latest_attempt(names: list[str]) -> int:
    """The number of the latest attempt among the names of a job's objects; 0 where there is none."""
    return max((int(match[1]) for name in names if (match := _ATTEMPT.search(name))), default=0)


def _read(store: Store, run: str, job: str, names: list[str]) -> JobRecord:
    number = latest_attempt(names)
    if "result.json" in names:
        key = keys.result(run, job)
        return JobRecord(result=Result.from_bytes(store.get(key), key), attempts=number)
    report = verdict = None
    try:
        if f"attempts/{number}/exit.json" in names:
            key = keys.attempt(run, job, number, "exit.json")
            report = ExitReport.from_bytes(store.get(key), key)
        if "verdict.json" in names:
            key = keys.verdict(run, job)
            verdict = Verdict.from_bytes(store.get(key), key)
    except (NotFound, SpecError):
        pass  # it goes away, or a newer version wrote it
    return JobRecord(None, number, report, verdict)
