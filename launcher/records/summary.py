"""What the books keep of a result: its numbers and where its model is, not its curves."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from atb.contract import bundle, keys
from atb.contract.names import JobName, RunName
from atb.documents.manifest import ManifestJob
from atb.documents.result import FIT_STAGE, Result, Rule, StageTime
from atb.schema import Document, Part, is_sealed, validate_size
from atb.storage import Entry, Store
from atb.storage.read import validate_place


class ResultSummary(Part):
    """A result as the manifest has it. ``etag`` is of the object it was read from."""

    epochs: int
    metrics: dict[str, float]
    baselines: dict[str, dict[str, float]]
    gate: tuple[Rule, ...]
    seconds: float
    fit_seconds: float
    result: str
    model: str | None
    synthetic: bool
    peak_memory_bytes: int
    spec_digest: str
    etag: str = ""


class _Fit(Part):
    epochs: int


class _Bars(Part):
    synthetic: bool = False


class _File(Part):
    path: str
    key: str


class _ResultHead(Document):
    """The part of a result that the books need. Only for documents whose digest shows that they are as written."""

    kind: ClassVar[str] = "result"

    run: RunName
    job: JobName
    spec_digest: str
    bars: _Bars
    fit: _Fit
    metrics: dict[str, float]
    baselines: dict[str, dict[str, float]]
    gate: tuple[Rule, ...] = ()
    peak_memory_bytes: int
    started: datetime
    finished: datetime
    files: tuple[_File, ...]
    stages: tuple[StageTime, ...]


def read_summary(store: Store, run: str, job: str, entry: Entry | None = None) -> ResultSummary:
    """What the books keep of a job's result. Raises NotFound, Unreadable, StoreError."""
    key = keys.result(run, job)
    if entry is not None:
        validate_size(Result, entry.size, key)
    data = store.get(key)
    # A document without a digest, by an earlier version, is validated whole
    kind: type[Result] | type[_ResultHead] = _ResultHead if is_sealed(data) else Result
    return summarise(validate_place(kind.from_bytes(data, key), key, run=run, job=job), entry.etag if entry else "")


def summarise(result: Result | _ResultHead, etag: str = "") -> ResultSummary:
    """What the books keep of a result."""
    return ResultSummary(
        epochs=result.fit.epochs,
        metrics=result.metrics,
        baselines=result.baselines,
        gate=result.gate,
        seconds=(result.finished - result.started).total_seconds(),
        fit_seconds=next((stage.seconds for stage in result.stages if stage.name == FIT_STAGE), 0.0),
        result=keys.result(result.run, result.job),
        model=next((file.key for file in result.files if file.path == bundle.MODEL), None),
        synthetic=result.bars.synthetic,
        peak_memory_bytes=result.peak_memory_bytes,
        spec_digest=result.spec_digest,
        etag=etag,
    )


def summary_of(job: ManifestJob, spec_digest: str) -> ResultSummary | None:
    """What an earlier manifest kept of a job's result; None where it was not done."""
    if job.state != "done" or job.result is None or not job.result_etag:
        return None
    return ResultSummary(
        epochs=job.epochs or 0,
        metrics=job.metrics,
        baselines=job.baselines,
        gate=job.gate,
        seconds=job.seconds or 0.0,
        fit_seconds=job.fit_seconds or 0.0,
        result=job.result,
        model=job.model,
        synthetic=job.synthetic,
        peak_memory_bytes=job.peak_memory_bytes or 0,
        spec_digest=spec_digest,
        etag=job.result_etag,
    )
