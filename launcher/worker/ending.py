"""What is written down of a training that could not do so itself."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from atb.contract import exits, keys
from atb.documents.attempt import KILLED, Claim, ExitReport, Verdict
from atb.errors import PreconditionFailed
from atb.redaction import redact
from atb.storage import Store
from launcher.records.leases import STOPPED
from launcher.worker.forkserver_client import Ended

_LOG_TAIL = 64 * 1024


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a process ended."""

    code: int
    category: str
    reason: str


def explain(ended: Ended, log: Path) -> Cause:
    """Why a process ended that left no report: by its last error, or by the signal."""
    if ended.signal == signal.SIGTERM:
        return Cause(143, STOPPED, ended.words)
    if ended.signal:
        hint = ""
        if ended.signal == signal.SIGKILL:
            hint = "; the system does this when memory runs out: lower --max-parallel"
        return Cause(128 + ended.signal, KILLED, f"{ended.words}{hint}")
    code = ended.code or 0
    known, words = exits.BY_CODE.get(code), exits.last_error(read_tail(log))
    if code == 0:
        return Cause(0, "no-result", "it exited 0 but committed no result")
    if known is None:
        return Cause(code, "bug", words or f"{ended.words}, which has no meaning here")
    return Cause(code, known.category, redact(words) if words else known.meaning)


def write_report(
    store: Store, run: str, job: str, claim: Claim, cause: Cause, log: Path, peak: int, now: float
) -> None:
    """Leave an attempt's exit report and log, unless it has left its own. Raises StoreError."""
    report = ExitReport(
        attempt=claim.attempt,
        code=cause.code,
        category=cause.category,
        message=cause.reason,
        stage="",
        peak_memory_bytes=peak,
        node=claim.node,
        started=claim.started,
        finished=datetime.fromtimestamp(now, UTC),
    )
    documents = (("log.txt", redact(read_tail(log)).encode()), ("exit.json", report.to_bytes()))
    for name, data in documents:
        try:
            store.put_if_absent(keys.attempt(run, job, claim.attempt, name), data)
        except PreconditionFailed:
            pass


def write_verdict(store: Store, run: str, job: str, attempts: int, cause: Cause, now: float) -> None:
    """Record why a job failed whose process could not even claim an attempt. Raises StoreError."""
    verdict = Verdict(
        job=job,
        state="interrupted" if cause.category == STOPPED else "failed",
        category=cause.category,
        reason=cause.reason,
        attempts=attempts,
        recorded=datetime.fromtimestamp(now, UTC),
    )
    store.put(keys.verdict(run, job), verdict.to_bytes())


def read_tail(log: Path) -> str:
    """The end of a training's log; empty without one."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _LOG_TAIL))
            return file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
