"""Promotion of what a run trained: every result not decided on yet is judged, and each decision is recorded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from atb.documents.result import Result
from atb.errors import StoreError, Unreadable
from atb.registry.champions import read_history
from atb.registry.promote import evaluate_candidate, model_key_of, whoami
from atb.storage import Store
from launcher.records.run_record import RunRecord


@dataclass(frozen=True)
class Promotion:
    """What came of one job's model. ``decided``: promoted, declined, decided before, refused, or unreadable."""

    job: str
    decided: str
    reason: str


def promote_run(store: Store, record: RunRecord, *, accept_first: bool = False) -> Iterator[Promotion]:
    """Judge the run's results and let those that pass serve; yields one line for each, in the order of the plan.

    Doing it twice decides nothing twice. One that another promotion overtook, or whose files are damaged, does not
    keep the others from being judged.
    """
    for result in record.read_results(store):
        if isinstance(result, Unreadable):
            yield Promotion(result.key, "unreadable", str(result))
            continue
        if former := _decided_before(store, result):
            yield Promotion(result.job, "decided before", former)
            continue
        try:
            outcome = evaluate_candidate(
                store, result, by=whoami(), why=f"collected run {result.run}", accept_first=accept_first
            )
        except (StoreError, Unreadable) as error:
            yield Promotion(result.job, "refused", str(error))
            continue
        yield Promotion(result.job, "promoted" if outcome.action == "promote" else "declined", outcome.reason)


def _decided_before(store: Store, result: Result) -> str:
    """What came of an earlier decision; one whose writer died before it took effect is no decision."""
    for decision in reversed(read_history(store, model_key_of(result), run=result.run)):
        entry = decision.entry
        if (entry.run, entry.job) == (result.run, result.job) and decision.effect != "never took effect":
            return f"{decision.effect} since {entry.time:%Y-%m-%d %H:%M} UTC"
    return ""
