"""One attempt at a job: its number, its progress, its exit report, and the result it commits."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from atb.clock import SYSTEM_CLOCK, Clock
from atb.contract import keys
from atb.contract.exits import BY_CODE
from atb.contract.labels import NODE_VARIABLE, POD_VARIABLE
from atb.contract.names import whole_number
from atb.contract.spec import Spec
from atb.documents.attempt import Claim, ExitReport, Progress
from atb.documents.result import Result, ResultPointer
from atb.errors import Denied, NotFound, PreconditionFailed, SpecError, StoreError, Unreadable
from atb.machine import machine_id
from atb.redaction import redact
from atb.registry.gate import passes
from atb.storage import Store
from atb.storage.quarantine import set_aside
from atb.storage.read import read_document
from trainer.process_memory import peak_memory

if TYPE_CHECKING:
    from trainer.fit.checkpoint import Checkpoint
    from trainer.fit.loop import Epoch

log = logging.getLogger(__name__)

CLAIM, LOG, EXIT, CHECKPOINT = "claim.json", "log.txt", "exit.json", "checkpoint.npz"
_PROGRESS_EVERY = 2.0
"""Seconds between two writes of progress."""
_PROGRESS_AGAIN = 30.0
"""Seconds until the next one after a failed write, so that a fit is not held up repeatedly."""
_SAVE_SECONDS = 5.0
"""How long a checkpoint is tried: the next one comes soon, and after SIGTERM there is little time."""
_END_SECONDS = 30.0
"""How long to try to write the exit report: by then an unreachable store has been waited for already."""


class Attempt:
    """Claimed once; numbers count from 1. Two attempts of one job never share a number.

    ``number`` claims that one and no other; ``process`` is who claims it, this process unless another is named, and
    ``memory`` the most that it has held, in bytes.
    Raises StoreError, and PreconditionFailed where somebody else has it.
    """

    def __init__(
        self,
        store: Store,
        run: str,
        job: str,
        number: int | None = None,
        clock: Clock = SYSTEM_CLOCK,
        process: int | None = None,
        memory: Callable[[], int] = peak_memory,
    ) -> None:
        self._store, self._run, self.job, self._clock, self._memory = store, run, job, clock, memory
        self._process = process or os.getpid()
        self.started = self._now()
        self.node = os.environ.get(NODE_VARIABLE) or None
        self.number, self._claimed = self._claim(number)
        self.epochs = 0
        self._progress_due = 0.0

    def key(self, name: str) -> str:
        """Where this attempt keeps a file."""
        return keys.attempt(self._run, self.job, self.number, name)

    def say_stage(self, stage: str, epochs: int) -> None:
        """Record the stage that begins in the store. A failed write is ignored."""
        self._say(
            Progress(
                attempt=self.number,
                stage=stage,
                epoch=self.epochs,
                epochs=epochs,
                node=self.node,
                updated=self._now(),
            )
        )

    def say_epoch(self, epoch: Epoch, epochs: int) -> None:
        """Log the epoch, and record it in the store at most every two seconds. A failed write is ignored."""
        self.epochs = epoch.number
        log.info(
            "epoch %d/%d loss %.6f val_loss %.6f rate %.2g %.1fs",
            epoch.number, epochs, epoch.loss, epoch.validation_loss, epoch.rate, epoch.seconds,
        )  # fmt: skip
        if self._clock.monotonic() < self._progress_due:
            return
        self._say(
            Progress(
                attempt=self.number,
                stage="training",
                epoch=epoch.number,
                epochs=epochs,
                loss=epoch.loss,
                validation_loss=epoch.validation_loss,
                eta_seconds=(epochs - epoch.number) * epoch.seconds,
                node=self.node,
                updated=self._now(),
            )
        )

    def save(self, checkpoint: Checkpoint) -> None:
        """Keep a checkpoint for the next attempt, replacing the one before. A failed write is only logged: the one
        before is still there."""
        from trainer.fit.checkpoint import pack_checkpoint  # which loads Keras: a claim needs none

        try:
            self._store.within(_SAVE_SECONDS).put(self.key(CHECKPOINT), pack_checkpoint(checkpoint))
        except StoreError as error:
            log.warning("no checkpoint saved: %s", error)

    def find_checkpoint(self, identity: str) -> tuple[int, Checkpoint] | None:
        """The newest earlier attempt's checkpoint of the same spec, bars and code."""
        from trainer.fit.checkpoint import unpack_checkpoint

        for number in range(self.number - 1, 0, -1):
            try:
                data = self._store.get(keys.attempt(self._run, self.job, number, CHECKPOINT))
            except NotFound:
                continue
            except Unreadable as problem:
                log.warning("%s; an earlier checkpoint is looked for", problem)
                continue
            checkpoint = unpack_checkpoint(data, identity)
            if checkpoint is not None:
                return number, checkpoint
        return None

    def end(self, code: int, message: str, stage: str, log: bytes, category: str = "") -> None:
        """Leave the exit report and the log's tail, without what looks like a secret. If the store can't take them,
        that is not a second failure.

        ``category``: where it is another than the code's.
        """
        known = BY_CODE.get(code)
        report = ExitReport(
            attempt=self.number,
            code=code,
            category=category or (known.category if known else "unknown"),
            message=redact(message),
            stage=stage,
            epochs=self.epochs,
            peak_memory_bytes=self._memory(),
            node=self.node,
            started=self.started,
            finished=self._now(),
        )
        words = redact(log.decode("utf-8", "replace")).encode()
        for name, data in ((LOG, words), (EXIT, report.to_bytes())):
            try:
                self._store.within(_END_SECONDS).put(self.key(name), data)
            except StoreError:
                pass

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now(), UTC)

    def _say(self, progress: Progress) -> None:
        pause = _PROGRESS_EVERY
        try:
            self._store.within(0).put(keys.progress(self._run, self.job), progress.to_bytes())
        except StoreError:
            pause = _PROGRESS_AGAIN
        self._progress_due = self._clock.monotonic() + pause

    def renew(self) -> None:
        """Write the claim again: its time shows that this attempt is alive. A failed write is ignored."""
        try:
            self._store.within(0).put(self.key(CLAIM), self._claimed)
        except StoreError:
            pass

    def _claim(self, requested: int | None) -> tuple[int, bytes]:
        number = requested or self._following()
        while True:
            claim = Claim(
                attempt=number,
                host=socket.gethostname(),
                process=self._process,
                machine=machine_id() or None,
                pod=os.environ.get(POD_VARIABLE) or None,
                node=self.node,
                started=self.started,
            ).to_bytes()
            key = keys.attempt(self._run, self.job, number, CLAIM)
            try:
                self._store.put_if_absent(key, claim)
            except PreconditionFailed:
                if requested:
                    raise PreconditionFailed(f"attempt {number} of {self.job} in run {self._run} is taken") from None
                number += 1
            else:
                return number, claim

    def _following(self) -> int:
        prefix = keys.attempts_prefix(self._run, self.job)
        taken = (whole_number(entry.key[len(prefix) :].split("/")[0]) for entry in self._store.list(prefix))
        return 1 + max((number for number in taken if number is not None), default=0)


def read_committed(store: Store, run: str, spec: Spec) -> Result | None:
    """The job's committed result; None if there is none or it can't be read. Raises SpecError where it is the result of
    another spec, Denied where this user may not read it: it could not be replaced once the fit is done."""
    job = keys.job_id(spec.symbol, spec.preset)
    key = keys.result(run, job)
    try:
        result = read_document(store, Result, key, run=run, job=job)
    except NotFound:
        return None
    except Denied:
        raise
    except Unreadable as problem:
        log.warning("%s", problem)
        return None
    if result.spec_digest != spec.digest:
        raise SpecError(
            f"{key} is the result of a different spec ({result.spec_digest[:12]}, this one is {spec.digest[:12]}); "
            "name another --run"
        )
    return result


def commit_result(store: Store, result: Result) -> Result:
    """Write the marker, once. Where another attempt was first, its result is the job's and ours is left unnamed."""
    key = keys.result(result.run, result.job)
    try:
        store.put_if_absent(key, result.to_bytes())
    except PreconditionFailed:
        standing = read_committed(store, result.run, result.spec)
        if standing is not None and standing != result:
            log.info("another attempt committed %s first; its result stands", key)
            return standing
        if standing is None:
            with suppress(NotFound, PreconditionFailed):  # another attempt has done so, or committed since
                log.warning("%s can't be read and was moved to %s", key, set_aside(store, key))
            return commit_result(store, result)
    try:
        store.put(keys.result_index(result.spec_digest), ResultPointer.of(result).to_bytes())
    except StoreError as error:  # a hint: without it, the same spec is trained again some day
        log.warning("%s is committed, but can't be found by its spec: %s", key, error)
    log.info(
        "committed %s: test RMSE %.6g, persistence %.6g, skill %+.4f, gate %s",
        key, result.metrics["rmse"], result.baselines["persistence"]["rmse"], result.metrics["skill"],
        "passed" if passes(result.gate) else "not passed",
    )  # fmt: skip
    return result
