"""The result of a job, which commits its model, and where a result of the same spec is found."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

from pydantic import AwareDatetime

from atb.contract.names import JobName, RunName
from atb.contract.spec import Spec
from atb.documents.evaluation import BacktestSummary, Evaluation, TradingTerms
from atb.documents.export import ExportSummary
from atb.schema import Document, FrequentPart, Part


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
    """Which bars were read: their digest, how many, from where to where, and what input validation counted."""

    digest: str
    rows: int
    first: AwareDatetime
    last: AwareDatetime
    segments: int
    synthetic: bool = False
    report: dict[str, Any] = {}
    sources: dict[str, str] = {}
    """The bars' own fingerprints at the source, as a ``ResultPointer`` has them."""


class FeatureSummary(Part):
    """Which features the net saw."""

    name: str
    hash: str
    columns: tuple[str, ...]


class SplitSummary(Part):
    """How many windows each part has; ``purged`` windows lie between two parts. Fitting took bars
    before ``validation_from``, the choice of the best epoch those before ``test_from``, where the test rows begin."""

    train: int
    validation: int
    test: int
    purged: int
    validation_from: AwareDatetime | None = None
    test_from: AwareDatetime | None = None


class FitSummary(Part):
    """How the fit went. Losses are mean squared errors of the scaled target; epochs count from 1.
    ``residual_weight`` is the share of the net's output that is added to HAR; None without a residual."""

    device: str
    path: str
    parameters: int
    epochs: int
    best_epoch: int
    best_validation_loss: float
    stopped_by: Literal["patience", "epochs"]
    steps_per_second: float
    resumed_from_attempt: int | None = None
    residual_weight: float | None = None


FIT_STAGE = "training"
"""The row of the fit."""
TOTAL_STAGE = "total"
"""The last row of the stage table: from the start of the process to its end, so at least the sum of the others."""


class StageTime(Part):
    """One row of the published stage table."""

    name: str
    seconds: float


class Rule(FrequentPart):
    """One rule of the gate: what was measured, against what bound, and the verdict. A waived rule did not pass, but
    somebody accepted that."""

    name: str
    value: float | None
    bound: float | None
    passed: bool
    waived: bool = False
    note: str = ""


class Result(Document):
    """The commit marker of a job, written last. Metrics are in price on the purged test rows."""

    kind: ClassVar[str] = "result"

    run: RunName
    job: JobName
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
    evaluation: Evaluation = Evaluation()
    backtest: BacktestSummary = BacktestSummary()
    export: ExportSummary = ExportSummary()
    gate: tuple[Rule, ...] = ()
    stages: tuple[StageTime, ...]
    peak_memory_bytes: int
    startup_seconds: float = 0.0
    """Of its process before ``started``: the imports, which a worker has once for all its trainings."""
    started: AwareDatetime
    finished: AwareDatetime
    files: tuple[FileEntry, ...]


class _Fit(Part):
    epochs: int


class _Bars(Part):
    synthetic: bool = False


class _Backtest(Part):
    rules: TradingTerms | None = None
    model: dict[str, float] = {}


class ResultHead(Document):
    """The part of a result that the books and the evidence of a run need: a run has thousands. Only for documents whose
    digest shows that they are as they were written."""

    kind: ClassVar[str] = "result"

    run: RunName
    job: JobName
    spec_digest: str
    bars: _Bars
    fit: _Fit
    metrics: dict[str, float]
    baselines: dict[str, dict[str, float]]
    backtest: _Backtest = _Backtest()
    gate: tuple[Rule, ...] = ()
    stages: tuple[StageTime, ...]
    peak_memory_bytes: int
    startup_seconds: float = 0.0
    started: AwareDatetime
    finished: AwareDatetime
    files: tuple[FileEntry, ...]


class ResultPointer(Document):
    """Where a committed result of a spec is, with what must be equal for it to be used again."""

    kind: ClassVar[str] = "result-pointer"

    run: RunName
    job: JobName
    code_digest: str
    image: str | None
    bars_digest: str
    sources: dict[str, str] = {}
    """The bars' own fingerprints at the source: name to digest, so that a launcher can compare without reading bars."""

    @classmethod
    def of(cls, result: Result) -> Self:
        """The pointer to a result."""
        return cls(
            run=result.run,
            job=result.job,
            code_digest=result.code.digest,
            image=result.code.image,
            bars_digest=result.bars.digest,
            sources=result.bars.sources,
        )
