"""A job as a row of the table."""

from __future__ import annotations

from dataclasses import replace

from atb.documents.attempt import Progress
from atb.documents.plan import PlannedJob
from launcher.kubernetes.control.observe import Observation
from launcher.kubernetes.objects.job_status import JobStatus
from launcher.records.progress import Committed
from launcher.report.live_table import Row


def say_attempt(latest: JobStatus | None, row: Row) -> Row:
    """With what differs in an attempt that follows another: ``fit (12Gi, after oom with 8Gi)``."""
    if latest is None or not (latest.oom or latest.on_demand) or row.state not in ("pending", "running"):
        return row
    changes = ", ".join(filter(None, (latest.memory if latest.oom else "", latest.cause or "on demand")))
    return replace(row, detail=f"{row.detail} ({changes})".strip())


def make_row(planned: PlannedJob, found: Observation, progress: Progress | None, result: Committed | None) -> Row:
    spec = planned.spec
    row = Row(
        planned.job,
        spec.symbol,
        spec.preset,
        found.state,
        found.category,
        found.reason,
        found.node,
        attempts=found.attempts,
    )
    if result is not None and found.state == "done":
        loss = result.fit.best_validation_loss
        attempts = row.attempts or result.attempt  # its Pods may be gone
        return replace(row, attempts=attempts, epoch=result.fit.epochs, epochs=spec.epochs, validation_loss=loss)
    if progress is not None:
        return replace(
            row,
            epoch=progress.epoch,
            epochs=progress.epochs,
            validation_loss=progress.validation_loss,
            eta_seconds=progress.eta_seconds,
            detail=row.detail or (progress.stage if found.state == "running" else ""),
        )
    return row
