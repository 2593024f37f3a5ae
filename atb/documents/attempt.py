"""What the attempts of a job leave beside its result: claim, progress, exit report, and what a launcher saw."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import AwareDatetime

from atb.contract.names import JobName, RunName
from atb.schema import Document


class Claim(Document):
    """Written first by an attempt, if-absent: which process or Pod it is. The same bytes are written again every few
    seconds, so that the object's time says whether the process lives."""

    kind: ClassVar[str] = "claim"

    attempt: int
    host: str
    process: int
    machine: str | None = None
    """What processes that see each other's PIDs share: ``atb.machine``."""
    pod: str | None = None
    node: str | None = None
    started: AwareDatetime


class Progress(Document):
    """A job's progress, overwritten as it runs. ``eta_seconds`` assumes that all epochs run."""

    kind: ClassVar[str] = "progress"

    attempt: int
    stage: str
    epoch: int = 0
    epochs: int = 0
    loss: float | None = None
    validation_loss: float | None = None
    eta_seconds: float | None = None
    node: str | None = None
    updated: AwareDatetime


KILLED = "killed"
"""The category of an attempt that ended by a signal nobody asked for, or without a word: its process or its machine
was lost."""


class ExitReport(Document):
    """Written by an attempt at its end, whenever it still can."""

    kind: ClassVar[str] = "exit-report"

    attempt: int
    code: int
    category: str
    message: str
    stage: str
    epochs: int = 0
    peak_memory_bytes: int = 0
    node: str | None = None
    started: AwareDatetime
    finished: AwareDatetime


class Verdict(Document):
    """What a launcher saw end a job that has no result; void once a result or a later attempt is there."""

    kind: ClassVar[str] = "verdict"

    job: JobName
    state: Literal["failed", "interrupted"]
    category: str
    reason: str
    node: str | None = None
    attempts: int = 0
    memory_limit: str | None = None
    recorded: AwareDatetime


class MemoryNeed(Document):
    """What a job needed after an attempt ran out of memory: where the next run's first attempt begins."""

    kind: ClassVar[str] = "memory-need"

    memory: str
    peak_memory_bytes: int
    run: RunName
    updated: AwareDatetime
