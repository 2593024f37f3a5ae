"""Promotion of what a run trained: every result not decided on yet is judged, and each decision is recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from atb.clock import SYSTEM_CLOCK, Clock
from atb.contract import keys
from atb.documents.evidence import TestRows
from atb.documents.result import Rule
from atb.errors import SpecError, StoreError, Unreadable
from atb.registry.candidate import Candidate
from atb.registry.champions import NO_EFFECT, ModelKey, read_history
from atb.registry.gate import SKILL_SHOWN, Shown, hold_to
from atb.registry.promote import decline_candidate, evaluate_candidate, whoami
from atb.registry.weigh import Weighed, weigh_run
from atb.storage import Store
from atb.storage.read import map_calls
from launcher.records.job_record import JobRecord
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
    keep the others from being judged. Only results that can serve are read again: of the others the record has enough.
    Several are judged at a time, since each is about a model key of its own.
    """
    by = whoami()
    model_keys = {planned.job: ModelKey.of(planned.spec) for planned in record.plan.to_run}

    def decide(job: str) -> Promotion:
        shown = weighed.shown.get(f"{record.plan.run}/{job}")
        return _decide(store, record, job, model_keys[job], shown, by, accept_first=accept_first, clock=clock)

    yield from map_calls(store, decide, record.with_result())


def _decide(
    store: Store,
    record: RunRecord,
    job: str,
    model_key: ModelKey,
    shown: Shown | None,
    by: str,
    *,
    accept_first: bool,
    clock: Clock,
) -> Promotion:
    run = record.plan.run
    if former := _decided_before(store, run, job, model_key):
        return Promotion(job, "decided before", former)
    if shown is not None and shown.problem and not accept_first:
        return Promotion(job, "refused", shown.problem)
    why, now = f"collected run {run}", datetime.fromtimestamp(clock.now(), UTC)
    try:
        if not accept_first and (rules := _known_verdicts(record.jobs[job], shown)):
            outcome = decline_candidate(store, model_key, run, job, rules, by=by, why=why, now=now)
        else:
            result = record.read_result(store, job)
            if isinstance(result, Unreadable):
                return Promotion(keys.result(run, job), "unreadable", str(result))
            outcome = evaluate_candidate(store, result, shown, by=by, why=why, accept_first=accept_first, now=now)
    except (StoreError, Unreadable) as error:
        return Promotion(job, "refused", str(error))
    except SpecError as error:  # another collection has promoted it since
        return Promotion(job, "decided before", str(error))
    return Promotion(job, "promoted" if outcome.action == "promote" else "declined", outcome.reason)


def _known_verdicts(record: JobRecord, shown: Shown | None) -> tuple[Rule, ...]:
    """The verdicts about a candidate that is declined in any case, since its evidence does not reach the run's bound:
    the other rules as its job has judged them. Empty where its whole result has to be judged."""
    gate = record.result.gate if record.result is not None else ()
    if shown is None or shown.reached or not any(rule.name == SKILL_SHOWN and not rule.waived for rule in gate):
        return ()
    return hold_to(gate, shown)


def _decided_before(store: Store, run: str, job: str, model_key: ModelKey) -> str:
    """The outcome of an earlier decision; one that never took effect, since its writer died, does not count."""
    for decision in reversed(read_history(store, model_key, run=run)):
        entry = decision.entry
        if (entry.run, entry.job) == (run, job) and decision.effect != NO_EFFECT:
            return f"{decision.effect} since {entry.time:%Y-%m-%d %H:%M} UTC"
    return ""
