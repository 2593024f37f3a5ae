"""The signals that ask a training to stop."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

from atb.errors import AtbError, Stopped
from atb.patience import INTERRUPT

_started_by: int | None = None


def expect_parent(process: int) -> None:
    """This process was forked by another one, and lives for as long as that."""
    global _started_by
    _started_by = process


def is_orphaned() -> bool:
    """Whether that process has died: then nobody asked for a stop, and it is the system that sent the signal."""
    return _started_by is not None and os.getppid() != _started_by


EARLY = "stopped before training; the next attempt starts it"


class StopSignals:
    """Whether SIGTERM or SIGINT has come.

    Before ``should_stop`` is first called, libraries are being imported and bars loaded, and that may wait minutes for
    an exchange: the signal ends it there. Later a second Ctrl-C ends the process wherever it is; SIGTERM never does,
    since a launcher and the system may both send it while the checkpoint is being saved.
    """

    def __init__(self) -> None:
        self._stop, self._training = threading.Event(), threading.Event()

    def listen(self) -> None:
        """Take over both signals."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._hear)

    def should_stop(self) -> bool:
        """Whether a training is to save a checkpoint and stop."""
        self._training.set()
        return self._stop.is_set()

    def ended_by(self, error: BaseException) -> Stopped | None:
        """Stopped, where a signal before the training caused the error. An import that it ends in the middle may report
        that a library is missing, which would count as a bug and never be tried again."""
        early = self._stop.is_set() and not self._training.is_set()
        return Stopped(EARLY) if early and not isinstance(error, AtbError) else None

    def _hear(self, number: int, frame: Any) -> None:
        again, early = self._stop.is_set(), not self._training.is_set()
        self._stop.set()
        INTERRUPT.stop()
        if again and number == signal.SIGINT:
            raise Stopped("stopped by a second signal; the next attempt resumes from the last checkpoint")
        if early and not again:
            raise Stopped(EARLY)
