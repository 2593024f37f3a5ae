"""The evidence of a run's candidates, weighed together: each spends its rows, and one bound holds for all."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain, islice

from atb.contract import keys
from atb.contract.runs import DEFAULT_FDR
from atb.documents.evidence import JobEvidence, LedgerEntry, RunEvidence, TestRows
from atb.documents.plan import Plan
from atb.documents.result import Result
from atb.errors import AtbError, NotFound, Unreadable
from atb.registry.betting import e_bh_bound
from atb.registry.candidate import Candidate
from atb.registry.gate import Shown
from atb.registry.ledger import advance, read_ledger, read_rows, spend
from atb.storage import Store
from atb.storage.probe import is_conditional
from atb.storage.read import find_entry, map_calls, read_document

_MOST_PROBLEMS = 10


@dataclass(frozen=True)
class Weighed:
    """The evidence of a run's candidates, by RUN/JOB, and their e-BH bound."""

    bound: float
    fdr: float
    candidates: int
    shown: Mapping[str, Shown]

    @property
    def reached(self) -> int:
        """How many candidates reach the bound."""
        return sum(each.log_e >= math.log(self.bound) for each in self.shown.values())

    @property
    def summary(self) -> str:
        """One line."""
        return (
            f"evidence: {self.reached} of {self.candidates} candidates reach an e-value of {self.bound:,.0f}, "
            f"the bound at a false-discovery rate of {self.fdr:g}"
        )

    def problem_lines(self) -> Iterator[str]:
        """One line for each reason why candidates take part as if they had shown nothing."""
        named: dict[str, list[str]] = {}
        for name, shown in self.shown.items():
            if shown.problem:
                named.setdefault(shown.problem, []).append(name.partition("/")[2])
        for problem, jobs in islice(named.items(), _MOST_PROBLEMS):
            more = f" and {len(jobs) - 1} more" if len(jobs) > 1 else ""
            yield f"the evidence of {jobs[0]}{more} does not count: {problem}"
        if len(named) > _MOST_PROBLEMS:
            yield f"nor does that of others, for {len(named) - _MOST_PROBLEMS} more reasons"

    def to_parts(self) -> tuple[JobEvidence, ...]:
        """For the document of a run."""
        return tuple(
            JobEvidence(
                job=name.partition("/")[2],
                log_e=None if shown.problem else shown.log_e,
                rows=shown.rows,
                models=shown.models,
                problem=shown.problem,
            )
            for name, shown in self.shown.items()
        )

    def of(self, result: Result) -> Shown | None:
        """The evidence of one candidate's model key."""
        return self.shown.get(f"{result.run}/{result.job}")


def weigh_run(
    store: Store,
    candidates: Iterable[Candidate],
    *,
    planned: int = 0,
    fdr: float = DEFAULT_FDR,
    on_rows: Callable[[Candidate, TestRows], None] = lambda candidate, rows: None,
) -> Weighed:
    """Spend the rows of all candidates of a run that nobody has spent, and weigh what they show by now.

    It can be done again at any time: no row counts twice, and the number of candidates is at least ``planned``, so
    that a run that is collected early is not held to less. A candidate whose evidence can't be read or written takes
    part as one that has shown nothing, with the ``problem``. ``on_rows`` is called with the rows of each whose rows can
    be read, so that nobody need read them again. Raises StoreError where the store can't be written at all.
    """
    found: dict[str, LedgerEntry | str] = {}
    rest = iter(candidates)
    first = list(islice(rest, 1))
    careless = _find_careless(store) if first else ""

    def take(candidate: Candidate) -> tuple[Candidate, TestRows | None, LedgerEntry | str]:
        return candidate, *_spend(store, candidate, careless)

    for candidate, rows, entry in map_calls(store, take, chain(first, rest)):
        found[candidate.name] = entry
        if rows is not None:
            on_rows(candidate, rows)
    count = max(len(found), planned)
    logs = [-math.inf if isinstance(each, str) else each.log_e for each in found.values()]
    bound = e_bh_bound(logs, fdr, count)
    nothing = Shown(-math.inf, bound, fdr, count)
    shown = {
        name: replace(nothing, problem=entry) if isinstance(entry, str) else _shown(entry, nothing)
        for name, entry in found.items()
    }
    return Weighed(bound, fdr, count, shown)


def read_evidence(store: Store, run: str, problems: list[Unreadable] | None = None) -> RunEvidence | None:
    """What was kept when the run was last collected; None where nothing was, or it can't be read. ``problems`` gets
    why."""
    try:
        return read_document(store, RunEvidence, keys.run_evidence(run), run=run)
    except Unreadable as problem:
        if problems is not None:
            problems.append(problem)
    except AtbError:
        pass
    return None


def shown_by_job(evidence: RunEvidence | None) -> dict[str, Shown]:
    """What each candidate's model key had shown when the run was collected, by job."""
    if evidence is None:
        return {}
    together = Shown(-math.inf, evidence.bound, evidence.fdr, evidence.candidates)
    return {
        job.job: replace(
            together,
            log_e=-math.inf if job.log_e is None else job.log_e,
            rows=job.rows,
            models=job.models,
            problem=job.problem,
        )
        for job in evidence.jobs
    }


def foresee(store: Store, result: Result, rows: TestRows, fdr: float = DEFAULT_FDR) -> Shown:
    """What a candidate would show if it were the only one: for its card, with nothing spent. A ledger that can't be
    read is a ``problem``, and no reason to lose a training."""
    alone = Shown(-math.inf, e_bh_bound([0.0], fdr), fdr, 1)
    try:
        candidate = Candidate.of(result)
        return _shown(advance(read_ledger(store, candidate.model_key), candidate, rows, result.finished), alone)
    except AtbError as error:
        return replace(alone, problem=str(error))


def spend_alone(store: Store, result: Result) -> Shown | None:
    """Spend the rows of a training that no launcher planned, and so no launcher collects; None where one did.

    It is done when the result is committed and not when somebody promotes it: of ten trainings that are tried and one
    that is promoted, all ten have seen the rows. Doing it again changes nothing. Raises StoreError.
    """
    if find_entry(store, keys.plan(result.run)) is not None:  # not read: it may be large
        return None
    return weigh_run(store, [Candidate.of(result)]).of(result)


def planned_candidates(store: Store, run: str) -> int:
    """How many trainings the run was planned with; 0 for a single training, which has no plan."""
    key = keys.plan(run)
    try:
        return len(Plan.from_bytes(store.get(key), key).to_run)
    except NotFound:
        return 0


def _find_careless(store: Store) -> str:
    """Why the store can't record spent rows; empty if it can."""
    if is_conditional(store):
        return ""
    return f"store {store.url} ignores conditional writes, so that rows could be spent twice"


def _spend(store: Store, candidate: Candidate, careless: str) -> tuple[TestRows | None, LedgerEntry | str]:
    """The rows, if they can be read, and what they show, or why that is not known. ``careless``: why none is spent."""
    rows = None
    try:
        rows = read_rows(store, candidate)
        return rows, careless or spend(store, candidate, rows)
    except AtbError as error:
        return rows, str(error)


def _shown(entry: LedgerEntry, like: Shown) -> Shown:
    return replace(like, log_e=entry.log_e, rows=entry.total_rows, models=entry.candidates)
