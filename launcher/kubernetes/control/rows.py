"""A run's rows for the table, from the plan, what was observed, and what the store says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from atb.documents.attempt import Progress
from atb.documents.plan import Plan, PlannedJob
from atb.documents.result import Result
from launcher.kubernetes.control.observe import Observation
from launcher.report.live_table import Row


def build_rows(
    plan: Plan,
    observations: Mapping[str, Observation],
    progress: Mapping[str, Progress],
    results: Mapping[str, Result | None],
) -> list[Row]:
    """One row for each job of the plan, in the plan's order."""
    unknown = Observation("pending")
    return [
        _row(planned, observations.get(planned.job, unknown), progress.get(planned.job), results.get(planned.job))
        for planned in plan.jobs
    ]


def _row(planned: PlannedJob, found: Observation, progress: Progress | None, result: Result | None) -> Row:
    spec = planned.spec
    if planned.action == "skip":
        return Row(planned.job, spec.symbol, spec.preset, "skipped", detail=planned.reason)
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
        return replace(row, epoch=result.fit.epochs, epochs=spec.epochs, validation_loss=loss)
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
