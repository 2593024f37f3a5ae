"""The table of a run, from where its jobs stand in the store."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from atb.documents.manifest import State
from atb.documents.plan import Plan, PlannedJob
from launcher.records.board import Board
from launcher.records.categories import INTERRUPTIONS
from launcher.records.leases import STOPPED
from launcher.report.live_table import Row


def build_rows(plan: Plan, board: Board, running: Collection[str], *, stopping: bool) -> list[Row]:
    """One row per job, in the plan's order. ``running``: the jobs whose process this worker has."""
    return [_row(planned, board, planned.job in running, stopping) for planned in plan.jobs]


def _row(planned: PlannedJob, board: Board, mine: bool, stopping: bool) -> Row:
    spec, job = planned.spec, planned.job
    row = Row(job, spec.symbol, spec.preset, "pending")
    if planned.action == "skip":
        return replace(row, state="skipped", detail=planned.reason)
    facts = board.facts.get(job)
    attempts = len(facts.attempts) if facts else 0
    standing = board.standing(job)
    if standing.state == "done":
        return replace(row, state="done", attempts=attempts)
    if mine or standing.state == "live":
        progress = board.progress.get(job)
        if progress is None or (standing.attempt and progress.attempt != standing.attempt):
            return replace(row, state="running", attempts=attempts)
        return replace(
            row,
            state="running",
            detail=progress.stage,
            epoch=progress.epoch,
            epochs=progress.epochs,
            validation_loss=progress.validation_loss,
            eta_seconds=progress.eta_seconds,
            node=progress.node or "",
            attempts=attempts,
        )
    latest = facts.latest if facts else None
    if standing.state == "failed":
        state: State = "interrupted" if standing.category in INTERRUPTIONS else "failed"
        return replace(row, state=state, category=standing.category, detail=standing.reason, attempts=attempts)
    if latest is None or not standing.category:
        return replace(row, attempts=attempts)
    if stopping and standing.category == STOPPED:
        return replace(row, state="interrupted", category=STOPPED, detail=standing.reason, attempts=attempts)
    wait = standing.due - board.now()
    when = f" in {wait:.0f} s" if wait > 0.5 else " alone" if standing.alone else ""
    detail = f"{standing.reason}; attempt {standing.attempt}{when}"
    return replace(row, category=standing.category, detail=detail, attempts=attempts)
