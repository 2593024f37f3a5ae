"""One attempt at a job: its number, what it says while it runs, what it leaves behind."""

from __future__ import annotations

import os
import resource
import socket
import time
from datetime import UTC, datetime

from trainer.contract import keys
from trainer.contract.exits import BY_CODE
from trainer.contract.manifest import Claim, ExitReport, Progress
from trainer.errors import NotFound, PreconditionFailed, StoreError
from trainer.fit.checkpoint import Checkpoint, pack_checkpoint, unpack_checkpoint
from trainer.storage import Store

CLAIM, LOG, EXIT, CHECKPOINT = "claim.json", "log.txt", "exit.json", "checkpoint.npz"
POD_VARIABLE, NODE_VARIABLE = "ATB_POD", "ATB_NODE"
_PROGRESS_EVERY = 2.0
"""Seconds between two writes of progress."""


class Attempt:
    """Claimed once; numbers count from 1. Two attempts of one job never share a number."""

    def __init__(self, store: Store, run: str, job: str) -> None:
        self._store, self._run, self._job = store, run, job
        self.started = datetime.now(UTC)
        self.node = os.environ.get(NODE_VARIABLE) or None
        self.number = self._claim()
        self.epochs = 0
        self._last_progress = -_PROGRESS_EVERY

    def key(self, name: str) -> str:
        """Where this attempt keeps a file."""
        return keys.attempt(self._run, self._job, self.number, name)

    def say(self, progress: Progress, *, now: bool = False) -> None:
        """Say how far the job is, at most every two seconds unless ``now``. A store that can't stops nothing."""
        if now or time.monotonic() - self._last_progress >= _PROGRESS_EVERY:
            self._last_progress = time.monotonic()
            try:
                self._store.put(keys.progress(self._run, self._job), progress.to_bytes())
            except StoreError:
                pass

    def save(self, checkpoint: Checkpoint) -> None:
        """Keep a checkpoint for the next attempt, in place of the one before."""
        self._store.put(self.key(CHECKPOINT), pack_checkpoint(checkpoint))

    def find_checkpoint(self, identity: str) -> tuple[int, Checkpoint] | None:
        """The newest earlier attempt's checkpoint of the same spec, bars and code."""
        for number in range(self.number - 1, 0, -1):
            try:
                data = self._store.get(keys.attempt(self._run, self._job, number, CHECKPOINT))
            except NotFound:
                continue
            checkpoint = unpack_checkpoint(data, identity)
            if checkpoint is not None:
                return number, checkpoint
        return None

    def end(self, code: int, message: str, stage: str, log: bytes) -> None:
        """Leave the exit report and the log's tail. A store that can't take them is no second failure."""
        known = BY_CODE.get(code)
        report = ExitReport(
            attempt=self.number,
            code=code,
            category=known.category if known else "unknown",
            message=message,
            stage=stage,
            epochs=self.epochs,
            peak_memory_bytes=peak_memory(),
            node=self.node,
            started=self.started,
            finished=datetime.now(UTC),
        )
        for name, data in ((LOG, log), (EXIT, report.to_bytes())):
            try:
                self._store.put(self.key(name), data)
            except StoreError:
                pass

    def _claim(self) -> int:
        prefix = keys.attempts_prefix(self._run, self._job)
        taken = (entry.key[len(prefix) :].split("/")[0] for entry in self._store.list(prefix))
        number = 1 + max((int(part) for part in taken if part.isdigit()), default=0)
        while True:
            claim = Claim(
                attempt=number,
                host=socket.gethostname(),
                process=os.getpid(),
                pod=os.environ.get(POD_VARIABLE) or None,
                node=self.node,
                started=self.started,
            )
            try:
                self._store.put_if_absent(keys.attempt(self._run, self._job, number, CLAIM), claim.to_bytes())
            except PreconditionFailed:
                number += 1
            else:
                return number


def peak_memory() -> int:
    """The most memory this process has had resident, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
