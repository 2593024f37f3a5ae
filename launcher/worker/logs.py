"""Logs of a run on a machine: while an attempt runs there, the file that it writes; later what it left in the store."""

from __future__ import annotations

import glob
import os
import stat
import tempfile
from collections.abc import Sequence
from pathlib import Path

from atb.clock import SYSTEM_CLOCK, Clock
from atb.contract import keys
from atb.documents.plan import Plan, PlannedJob
from atb.errors import NotFound, SpecError, Unreadable
from atb.redaction import redact
from atb.storage import Store
from launcher.plan.backend import Say
from launcher.records.attempt_facts import AttemptReader
from launcher.records.leases import DEFAULT_RULES, classify_job
from launcher.records.listing import list_job
from launcher.records.liveness import read_launcher

TICK = 0.5
"""Seconds between looks at the files that are followed."""
ASK_SECONDS = 5.0
"""How often to check in the store whether the run is still going."""
MOST_BYTES = 1 << 20
"""Read of one file at a time."""


class _Tail:
    """One job's log as it grows."""

    def __init__(self, run: str, job: str) -> None:
        self._run, self._job = run, job
        self._place = 0
        self._rest = b""
        self.seen = False

    def read(self, *, whole: bool = False) -> list[str]:
        """The lines that are new; ``whole``: also the last one, which may not be complete."""
        path = find_live_log(self._run, self._job)
        if path is None:
            return []
        try:
            with path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                self._place = self._place if self._place <= size else 0  # the next attempt began it anew
                file.seek(self._place)
                data = file.read(MOST_BYTES)
        except OSError:
            return []  # it was removed in between
        self.seen = True
        self._place += len(data)
        lines = (self._rest + data).split(b"\n")
        self._rest = b"" if whole else lines.pop()
        return [redact(line.decode("utf-8", "replace")) for line in lines if line or not whole]


def print_local_logs(
    plan: Plan,
    store: Store,
    jobs: Sequence[PlannedJob],
    say: Say,
    *,
    named: bool,
    follow: bool,
    tail: int | None,
    clock: Clock = SYSTEM_CLOCK,
) -> None:
    """Print the latest attempt's log of each job. ``named``: each line has its job's name before it; ``follow``: until
    the run has ended. Raises SpecError for a single job that has no log, StoreError."""
    tails = {planned.job: _Tail(plan.run, planned.job) for planned in jobs}

    def say_all(job: str, lines: Sequence[str]) -> None:
        for line in lines:
            say(f"{job}: {line}" if named else line)

    open_jobs = []
    for planned in jobs:
        lines, ended = _read_now(plan.run, planned.job, store, tails[planned.job], clock)
        if not lines and not follow:
            problem = _say_none(plan.run, planned.job, store)
            if not named:
                raise SpecError(problem)
            lines = [problem]
        say_all(planned.job, lines[-(tail or 0) :])
        if not ended:
            open_jobs.append(planned.job)
    checked = clock.monotonic()
    while follow and open_jobs:
        for job in open_jobs:
            say_all(job, tails[job].read())
        if clock.monotonic() - checked >= ASK_SECONDS:
            checked = clock.monotonic()
            launcher = read_launcher(store, plan.run)
            gone = launcher is None or not launcher.alive
            for job in [each for each in open_jobs if gone or _has_ended(plan.run, each, store, clock)]:
                lines = tails[job].read(whole=True)
                say_all(job, lines if tails[job].seen else stored_lines(store, plan.run, job))
                open_jobs.remove(job)
        if open_jobs:
            clock.sleep(TICK)


def find_live_log(run: str, job: str) -> Path | None:
    """The file that a worker of this user on this machine lets a job's attempt write to."""
    pattern = f"{glob.escape(tempfile.gettempdir())}/atb-{glob.escape(run)}-*/{glob.escape(job)}.log"
    own = []
    for name in glob.glob(pattern):
        try:
            about = os.stat(name, follow_symlinks=False)
        except OSError:
            continue
        if about.st_uid == os.getuid() and stat.S_ISREG(about.st_mode):
            own.append((about.st_mtime, Path(name)))
    return max(own)[1] if own else None


def stored_lines(store: Store, run: str, job: str) -> list[str]:
    """What the latest attempt left in the store; empty where it left nothing. Raises StoreError."""
    attempts = list_job(store, run, job).attempts
    try:
        text = store.get(keys.attempt(run, job, attempts, "log.txt")).decode("utf-8", "replace") if attempts else ""
    except (NotFound, Unreadable):
        return []
    return redact(text).splitlines()


def _read_now(run: str, job: str, store: Store, tail: _Tail, clock: Clock) -> tuple[list[str], bool]:
    """The lines so far, and whether no more can come."""
    ended = _has_ended(run, job, store, clock)
    return ([] if ended else tail.read()) or stored_lines(store, run, job), ended


def _has_ended(run: str, job: str, store: Store, clock: Clock) -> bool:
    """Whether the job has a result, or has failed for good."""
    standing = classify_job(AttemptReader(store, run).read_job(job), clock.now(), 0.0, DEFAULT_RULES)
    return standing.state in ("done", "failed")


def _say_none(run: str, job: str, store: Store) -> str:
    if not list_job(store, run, job).attempts:
        return f"{job} of run {run} has not started; see: atb-launch status {run}"
    return f"{job} runs on another machine, or as another user: its log is in the store when the attempt ends"
