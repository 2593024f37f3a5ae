"""The documents of a run: its plan, each job's attempts and result, and the manifest collected from them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from atb.contract.spec import Spec
from atb.schema import Document

State = Literal["pending", "running", "done", "skipped", "failed", "interrupted"]


class Part(BaseModel):
    """A frozen part of a document."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class FileEntry(Part):
    """One file of a bundle, as it was when the result was committed. ``path`` is relative to the bundle."""

    path: str
    key: str
    size: int
    sha256: str


class CodeIdentity(Part):
    """What code made a model: version, digest of the trainer's sources, image if any, versions of the libraries."""

    version: str
    digest: str
    image: str | None = None
    packages: dict[str, str] = {}


class BarsSummary(Part):
    """Which bars were read: their digest, how many, from where to where, and what the checks at the door counted."""

    digest: str
    rows: int
    first: datetime
    last: datetime
    segments: int
    synthetic: bool = False
    report: dict[str, Any] = {}


class FeatureSummary(Part):
    """Which features the net saw."""

    name: str
    hash: str
    columns: tuple[str, ...]
    cached: bool = False


class SplitSummary(Part):
    """How many windows each part has; ``purged`` windows lie between two parts. The test rows begin at ``test_from``:
    what was learnt is from bars before it."""

    train: int
    validation: int
    test: int
    purged: int
    test_from: datetime | None = None


class FitSummary(Part):
    """How the fit went. Losses are mean squared errors of the scaled target; epochs count from 1."""

    device: str
    path: str
    parameters: int
    epochs: int
    best_epoch: int
    best_validation_loss: float
    stopped_by: Literal["patience", "epochs"]
    steps_per_second: float
    resumed_from_attempt: int | None = None


TOTAL_STAGE = "total"
"""The last row of the stage table: from the start of the process to its end, so at least the sum of the others."""


class StageTime(Part):
    """One row of the published stage table."""

    name: str
    seconds: float


class Rule(Part):
    """One rule of the gate: what was measured, against what bound, and the verdict."""

    name: str
    value: float | None
    bound: float | None
    passed: bool
    note: str = ""


class Result(Document):
    """The commit marker of a job, written last. Metrics are in price on the purged test rows."""

    kind: ClassVar[str] = "result"

    run: str
    job: str
    attempt: int
    spec: Spec
    spec_digest: str
    code: CodeIdentity
    bars: BarsSummary
    features: FeatureSummary
    split: SplitSummary
    fit: FitSummary
    metrics: dict[str, float]
    baselines: dict[str, dict[str, float]]
    evaluation: dict[str, Any] = {}
    backtest: dict[str, Any] = {}
    export: dict[str, Any] = {}
    gate: tuple[Rule, ...] = ()
    stages: tuple[StageTime, ...]
    peak_memory_bytes: int
    started: datetime
    finished: datetime
    files: tuple[FileEntry, ...]


class ResultPointer(Document):
    """Where a committed result of a spec is, with what must be equal for it to be used again."""

    kind: ClassVar[str] = "result-pointer"

    run: str
    job: str
    code_digest: str
    image: str | None
    bars_digest: str
    sources: dict[str, str] = {}
    """The bars' own fingerprints at the source: name to digest, so that a launcher can compare without reading bars."""


class Claim(Document):
    """Written first by an attempt, if-absent: which process or Pod it is."""

    kind: ClassVar[str] = "claim"

    attempt: int
    host: str
    process: int
    pod: str | None = None
    node: str | None = None
    started: datetime


class ExitReport(Document):
    """Written by an attempt as it ends in any way it can still speak of."""

    kind: ClassVar[str] = "exit-report"

    attempt: int
    code: int
    category: str
    message: str
    stage: str
    epochs: int = 0
    peak_memory_bytes: int = 0
    node: str | None = None
    started: datetime
    finished: datetime


class Verdict(Document):
    """What a launcher saw end a job that has no result; void once a result or a later attempt is there."""

    kind: ClassVar[str] = "verdict"

    job: str
    state: Literal["failed", "interrupted"]
    category: str
    reason: str
    node: str | None = None
    attempts: int = 0
    memory_limit: str | None = None
    recorded: datetime


class MemoryNeed(Document):
    """What a job needed after an attempt ran out of memory: where the next run's first attempt begins."""

    kind: ClassVar[str] = "memory-need"

    memory: str
    peak_memory_bytes: int
    run: str
    updated: datetime


class Progress(Document):
    """How far a job is; overwritten as it goes. ``eta_seconds`` assumes that all epochs run."""

    kind: ClassVar[str] = "progress"

    attempt: int
    stage: str
    epoch: int = 0
    epochs: int = 0
    loss: float | None = None
    validation_loss: float | None = None
    eta_seconds: float | None = None
    node: str | None = None
    updated: datetime


class PlannedJob(Part):
    """One job of a plan. ``action`` skip: ``reason`` says why and ``previous`` names the run and job referenced."""

    job: str
    spec: Spec
    spec_digest: str
    action: Literal["run", "skip"] = "run"
    reason: str = ""
    previous_run: str | None = None
    previous_job: str | None = None


class Plan(Document):
    """Written before anything is started. ``options`` are the launcher's, without secrets."""

    kind: ClassVar[str] = "plan"

    run: str
    created: datetime
    backend: Literal["local", "kubernetes"]
    options: dict[str, Any] = {}
    jobs: Annotated[tuple[PlannedJob, ...], Field(min_length=1)]

    @property
    def to_run(self) -> list[PlannedJob]:
        """The jobs that are not skipped, in order."""
        return [job for job in self.jobs if job.action == "run"]


class ManifestJob(Part):
    """One job of a manifest; everything in it is derived from the plan, the result and the exit reports."""

    job: str
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
    result: str | None = None
    model: str | None = None
    synthetic: bool = False
    peak_memory_bytes: int | None = None


class Manifest(Document):
    """What a run came to. Collected from the store alone; collecting twice gives the same bytes."""

    kind: ClassVar[str] = "manifest"

    run: str
    created: datetime
    jobs: tuple[ManifestJob, ...]

    @property
    def complete(self) -> bool:
        """Whether every job is done or was skipped for a committed result."""
        return all(job.state in ("done", "skipped") for job in self.jobs)
