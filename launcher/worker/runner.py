"""The jobs of one run while this machine does them: started, followed, tried again, stopped."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from atb.contract import exits, keys
from atb.documents.attempt import Progress, Verdict
from atb.documents.plan import Plan, PlannedJob
from atb.errors import AtbError, PreconditionFailed, StoreError
from atb.redaction import redact
from atb.storage import Store
from launcher.plan.backend import Show
from launcher.records.job_record import JobRecord, Outcome, latest_attempt, outcome_of, read_record
from launcher.records.progress import ProgressReader
from launcher.report.live_table import Row
from launcher.worker.forkserver_client import Ended, Event, ForkServerClient, Ready, Started, signal_name
from launcher.worker.machine_slots import MachineSlots

MOST_ATTEMPTS = 3
"""Of one job in one run of the launcher: the first, and two more where what failed may pass."""
PAUSES = (2.0, 10.0)
"""Seconds before the second and the third."""
ABANDON_SECONDS = 60.0
"""How long trainings have for their checkpoints after their server has died."""
PROGRESS_SECONDS = 1.0
TICK = 0.25
_LOG_TAIL = 64 * 1024


@dataclass
class _Job:
    planned: PlannedJob
    outcome: Outcome
    starts: int = 0
    due: float = 0.0
    earlier: int = 0
    """The latest attempt in the store before this one was started."""
    running: bool = False
    pid: int = 0
    gpu: str = ""


class LocalRunner:
    """The jobs of one run while they are done. One thread."""

    def __init__(
        self,
        plan: Plan,
        jobs: Sequence[PlannedJob],
        store: Store,
        forks: ForkServerClient,
        share: MachineSlots,
        logs: Path,
        pauses: Sequence[float],
        *,
        resumed: bool,
    ) -> None:
        self._resumed = resumed
        self._plan, self._store, self._forks, self._share = plan, store, forks, share
        self._logs, self._pauses = logs, pauses
        self._jobs = {job.job: _Job(job, Outcome("pending")) for job in jobs}
        self._progress: dict[str, Progress] = {}
        self._reader = ProgressReader(store, plan.run)
        self._looked = 0.0
        self._note = "loading TensorFlow"

    def work(self, stopped_by: Callable[[], int | None], show: Show) -> None:
        """Start, follow and try again until every job has ended, or those that run have been stopped."""
        told: set[int] = set()
        while True:
            number = stopped_by()
            if number is None:
                self._start_due()
            elif number not in told:
                told.add(number)
                self._stop(abs(number), hard=number < 0)
            for event in self._forks.events(TICK):
                self._take(event, stopping=number is not None)
            self._look_at_progress()
            show(self._rows(), self._note)
            if not any(job.running for job in self._jobs.values()) and (number is not None or self._all_final()):
                return

    def abandon(self) -> None:
        """The server has died, and the kernel has told its trainings to stop: wait for what they leave."""
        deadline = time.monotonic() + ABANDON_SECONDS
        for name, job in self._jobs.items():
            if not job.running:
                continue
            while job.pid and Path(f"/proc/{job.pid}").exists() and time.monotonic() < deadline:
                time.sleep(0.1)
            try:
                traces = read_record(self._store, self._plan.run, name)
                if traces.result is None and (traces.attempts <= job.earlier or traces.report is None):
                    outcome = Outcome("interrupted", "stopped", "the process that starts trainings has died")
                    self._keep(name, traces, outcome, self._logs / f"{name}.log")
            except StoreError:
                return  # the caller collects next, and says what is wrong with the store

    def _all_final(self) -> bool:
        return all(job.outcome.state in ("done", "failed", "interrupted") for job in self._jobs.values())

    def _start_due(self) -> None:
        free = self._share.parallel - sum(job.running for job in self._jobs.values())
        for name, job in self._jobs.items():
            if free <= 0:
                return
            if job.outcome.state == "pending" and not job.running and job.due <= time.monotonic():
                self._start(name, job)
                free -= 1

    def _start(self, name: str, job: _Job) -> None:
        if job.starts or self._resumed:
            attempts = self._store.list(keys.attempts_prefix(self._plan.run, name))
            job.earlier = latest_attempt([entry.key for entry in attempts])
        arguments = ["train", "job", job.planned.spec.model_dump_json(), "--run", self._plan.run]
        arguments += ["--store", self._store.url, "--threads", str(self._share.threads)]
        if self._store.endpoint_url:
            arguments += ["--endpoint-url", self._store.endpoint_url]
        busy = Counter(other.gpu for other in self._jobs.values() if other.running)
        environment = self._share.environment(busy)
        self._forks.start(name, arguments, str(self._logs / f"{name}.log"), environment)
        job.gpu = self._share.gpu_of(environment)
        job.starts += 1
        job.running = True

    def _stop(self, number: int, *, hard: bool) -> None:
        running = [name for name, job in self._jobs.items() if job.running]
        for name in running:
            self._forks.stop(name, signal.SIGKILL if hard else signal.SIGTERM)
        what = "killing" if hard else "stopping"
        self._note = f"{signal_name(number)}: {what} {len(running)} training{'s' * (len(running) != 1)}"
        self._note += "" if hard else "; each saves a checkpoint first"

    def _take(self, event: Event, *, stopping: bool) -> None:
        match event:
            case Ready():
                self._note = ""
            case Started(name, pid):
                self._jobs[name].outcome, self._jobs[name].pid = Outcome("running"), pid
            case Ended(name):
                self._end(self._jobs[name], event, stopping)

    def _end(self, job: _Job, ended: Ended, stopping: bool) -> None:
        job.running = False
        job.outcome = self._judge(job, ended, stopping)
        if job.outcome.state == "done" or stopping:
            return
        permanent = ended.code in exits.PERMANENT_CODES or ended.code == 0
        if not permanent and job.starts < MOST_ATTEMPTS:
            pause = self._pauses[min(job.starts, len(self._pauses)) - 1] if self._pauses else 0.0
            job.due = time.monotonic() + pause
            reason = f"{job.outcome.reason}; attempt {job.starts + 1} of {MOST_ATTEMPTS} in {pause:.0f} s"
            job.outcome = replace(job.outcome, state="pending", reason=reason)

    def _judge(self, job: _Job, ended: Ended, stopping: bool) -> Outcome:
        """What the store says of the attempt that has ended; where it says nothing, what was seen is written there."""
        name, log = job.planned.job, self._logs / f"{job.planned.job}.log"
        outcome = explain(ended, log)
        if stopping and ended.signal:
            outcome = Outcome("interrupted", "stopped", ended.words)
        try:
            traces = read_record(self._store, self._plan.run, name)
        except AtbError:
            return outcome
        spoke = traces.attempts > job.earlier and traces.report is not None
        if traces.result is not None or (spoke and not ended.signal):
            return outcome_of(traces)
        try:
            self._keep(name, traces, outcome, log)
        except StoreError:
            pass  # collecting comes next, and says what is wrong with the store
        return outcome

    def _keep(self, name: str, traces: JobRecord, outcome: Outcome, log: Path) -> None:
        """Leave the reason in the store, and the log where the attempt could not."""
        if traces.attempts:
            key = keys.attempt(self._plan.run, name, traces.attempts, "log.txt")
            try:
                self._store.put_if_absent(key, redact(_tail(log)).encode())
            except PreconditionFailed:
                pass
        verdict = Verdict(
            job=name,
            state="interrupted" if outcome.state == "interrupted" else "failed",
            category=outcome.category,
            reason=outcome.reason,
            attempts=traces.attempts,
            recorded=datetime.now(UTC),
        )
        self._store.put(keys.verdict(self._plan.run, name), verdict.to_bytes())

    def _look_at_progress(self) -> None:
        if time.monotonic() < self._looked + PROGRESS_SECONDS:
            return
        self._looked = time.monotonic()
        try:
            self._progress.update(self._reader.read_changed())
        except StoreError:
            pass  # the table is a little behind

    def _rows(self) -> list[Row]:
        return [self._row(planned) for planned in self._plan.jobs]

    def _row(self, planned: PlannedJob) -> Row:
        spec = planned.spec
        if planned.action == "skip":
            return Row(planned.job, spec.symbol, spec.preset, "skipped", detail=planned.reason)
        job = self._jobs.get(planned.job)
        if job is None:
            return Row(planned.job, spec.symbol, spec.preset, "done", detail="committed before")
        progress = self._progress.get(planned.job)
        stage = progress.stage if progress and job.running else ""
        return Row(
            planned.job,
            spec.symbol,
            spec.preset,
            job.outcome.state,
            job.outcome.category,
            job.outcome.reason or stage,
            epoch=progress.epoch if progress else 0,
            epochs=progress.epochs if progress else 0,
            validation_loss=progress.validation_loss if progress else None,
            eta_seconds=progress.eta_seconds if progress else None,
            attempts=job.starts,
        )


def explain(ended: Ended, log: Path) -> Outcome:
    """Why a process ended that left no report: its last error, or the signal."""
    if ended.signal == signal.SIGTERM:
        return Outcome("interrupted", "stopped", ended.words)
    if ended.signal:
        hint = (
            "; the system kills so when memory runs out: lower --max-parallel" if ended.signal == signal.SIGKILL else ""
        )
        return Outcome("failed", "killed", f"{ended.words}{hint}")
    known = exits.BY_CODE.get(ended.code or 0)
    said = exits.last_error(_tail(log))
    if ended.code == 0:
        return Outcome("failed", "no-result", "it ended well and committed no result")
    if known is None:
        return Outcome("failed", "bug", said or f"{ended.words}, which has no meaning here")
    reason = redact(said) if said else known.meaning
    return Outcome("interrupted" if known.code == 143 else "failed", known.category, reason)


def _tail(log: Path) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _LOG_TAIL))
            return file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
