"""The manifest of a run: the outcome of each of its jobs."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import AwareDatetime

from atb.contract.names import JobName, RunName
from atb.documents.result import Rule
from atb.schema import Document, FrequentPart, Part

State = Literal["pending", "running", "done", "skipped", "failed", "interrupted"]


class ManifestJob(FrequentPart):
    """One job of a manifest; everything in it is derived from the plan, the result and the exit reports."""

    job: JobName
    symbol: str
    preset: str
    state: State
    category: str = ""
    reason: str = ""
    attempts: int = 0
    epochs: int | None = None
    metrics: dict[str, float] = {}
    baselines: dict[str, dict[str, float]] = {}
    gate: tuple[Rule, ...] = ()
    seconds: float | None = None
    fit_seconds: float | None = None
    """Those of the fit alone."""
    startup_seconds: float | None = None
    """Of its process before those: the imports."""
    stages: dict[str, float] = {}
    """Seconds by stage."""
    started: AwareDatetime | None = None
    """When the attempt that left the result began."""
    result: str | None = None
    model: str | None = None
    synthetic: bool = False
    peak_memory_bytes: int | None = None
    result_etag: str | None = None
    """The etag of the result's object: as long as it is unchanged, the result need not be read again."""


class Usage(Part):
    """What a run held and what it used of that. Seconds of fits that run side by side add up: their share is that of
    ``slot_seconds``, the time of the workers once for each of their ``slots``.

    ``held_seconds``: of its workers from their start to their end, once for each GPU; where each job was a Job or a
    process of its own, of the trainings from their process's start to their last line. ``startup_seconds`` of
    those were imports: of each worker, or of each training.
    """

    fit_seconds: float
    held_seconds: float
    startup_seconds: float = 0.0
    jobs: int
    workers: int = 0
    gpus: int = 0
    slots: int = 0
    slot_seconds: float = 0.0


class Problem(Part):
    """A document that can't be read."""

    key: str
    problem: str


class Manifest(Document):
    """The outcome of a run. Collected from the store alone; collecting twice gives the same bytes."""

    kind: ClassVar[str] = "manifest"
    largest: ClassVar[int] = 128 << 20

    run: RunName
    created: AwareDatetime
    jobs: tuple[ManifestJob, ...]
    problems: tuple[Problem, ...] = ()
    usage: Usage | None = None

    @property
    def complete(self) -> bool:
        """Whether every job is done or was skipped for a committed result."""
        return all(job.state in ("done", "skipped") for job in self.jobs)
