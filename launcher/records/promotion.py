"""Promotion of what a run trained: every result not decided on yet is judged, and each decision is recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from atb.clock import SYSTEM_CLOCK, Clock
from atb.documents.evidence import TestRows
from atb.documents.result import Result
from atb.errors import SpecError, StoreError, Unreadable
from atb.registry.candidate import Candidate
from atb.registry.champions import NO_EFFECT, ModelKey, read_history
from atb.registry.promote import evaluate_candidate, whoami
from atb.registry.weigh import Weighed, weigh_run
from atb.storage import Store
from atb.storage.read import map_calls
from launcher.records.run_record import RunRecord


@dataclass(frozen=True)
class Promotion:
    """The decision about one job's model. ``decided``: promoted, declined, decided before, refused, or unreadable."""

    job: str
    decided: str
    reason: str


def weigh_record(
    store: Store,
    record: RunRecord,
    fdr: float,
    on_rows: Callable[[Candidate, TestRows], None] = lambda candidate, rows: None,
) -> Weighed:
    """Spend the rows of a run's candidates and weigh what they show, for all that were planned. Raises StoreError."""
    planned = len(record.plan.to_run)
    return weigh_run(store, record.read_candidates(store), planned=planned, fdr=fdr, on_rows=on_rows)


def promote_run(
    store: Store, record: RunRecord, weighed: Weighed, *, accept_first: bool = False, clock: Clock = SYSTEM_CLOCK
) -> Iterator[Promotion]:
    """Judge the run's results and let those that pass serve; yields one line for each, in the order of the plan.

    Doing it twice decides only once. One that another promotion overtook, or whose files are damaged, does not
    keep the others from being judged.
    """
    by = whoami()
    model_keys = {planned.job: ModelKey.of(planned.spec) for planned in record.plan.to_run}

    def read(job: str) -> Result | Unreadable | str:
        """A result, or how it was decided: of a run that is collected again no result is read whole."""
        former = _decided_before(store, record.plan.run, job, model_keys[job])
        return former or record.read_result(store, job)

    done = record.with_result()
    for job, result in zip(done, map_calls(store, read, done), strict=True):
        if isinstance(result, Unreadable):
            yield Promotion(result.key, "unreadable", str(result))
            continue
        # results are read ahead, and another collection may have decided on this one since
        if former := result if isinstance(result, str) else _decided_before(store, result.run, job, model_keys[job]):
            yield Promotion(job, "decided before", former)
            continue
        assert isinstance(result, Result)
        shown = weighed.of(result)
        if shown is not None and shown.problem and not accept_first:
            yield Promotion(result.job, "refused", shown.problem)
            continue
        why = f"collected run {result.run}"
        try:
            now = datetime.fromtimestamp(clock.now(), UTC)
            outcome = evaluate_candidate(store, result, shown, by=by, why=why, accept_first=accept_first, now=now)
        except (StoreError, Unreadable) as error:
            yield Promotion(result.job, "refused", str(error))
            continue
        except SpecError as error:  # another collection has promoted it since
            yield Promotion(result.job, "decided before", str(error))
            continue
        yield Promotion(result.job, "promoted" if outcome.action == "promote" else "declined", outcome.reason)


def _decided_before(store: Store, run: str, job: str, model_key: ModelKey) -> str:
    """The outcome of an earlier decision; one that never took effect, since its writer died, does not count."""
    for decision in reversed(read_history(store, model_key, run=run)):
        entry = decision.entry
        if (entry.run, entry.job) == (run, job) and decision.effect != NO_EFFECT:
            return f"{decision.effect} since {entry.time:%Y-%m-%d %H:%M} UTC"
    return ""
