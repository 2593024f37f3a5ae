"""Which jobs of a run can be taken, and as which attempt. Pure: from what the store lists, by the store's own clock.

A job has one claim for each attempt, and whoever works on it writes that claim again every few seconds. A claim that
has not moved for a lease is lapsed: its process died, or hangs. The job can then be taken as the next attempt. Times
here are seconds since 1970 by the clock of the store, which is the only one that all workers share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from atb.contract import exits
from atb.documents.attempt import KILLED

_T = TypeVar("_T")

STOPPED, OOM, DEVICE_FULL = "stopped", "oom", "device-full"
DEADLINE = "deadline"
_ELSEWHERE = "no-accelerator"
"""What another machine may not have."""


@dataclass(frozen=True, slots=True)
class Rules:
    """When a claim lapses and how often what failed is tried again."""

    lease: float = 60.0
    beat: float = 10.0
    """How often a worker writes its state, and an attempt its claim."""
    attempts: int = 3
    """Failures that may pass, such as a network that is down, in one session."""
    memory_attempts: int = 2
    """Attempts that ran out of memory, the machine's or the GPU's: the second one has all of it to itself."""
    pauses: tuple[float, ...] = (2.0, 10.0)
    """Seconds before the next attempt, by the number of failures; the last one counts for all later ones."""


DEFAULT_RULES = Rules()


@dataclass(frozen=True, slots=True)
class AttemptFacts:
    """One attempt. ``claimed``: when its claim was last written; ``ended``: when its exit report was, 0 without one."""

    number: int
    claimed: float
    ended: float = 0.0
    code: int | None = None
    category: str = ""
    message: str = ""
    gone: bool = False
    """Its process is known to have ended: it ran on this machine, and there is no such process."""


@dataclass(frozen=True, slots=True)
class JobFacts:
    """One job as the store has it. ``verdict_at``: when a verdict that no later attempt has made void was written."""

    job: str
    done: bool = False
    attempts: tuple[AttemptFacts, ...] = ()
    verdict_at: float = 0.0
    verdict_category: str = ""
    verdict_reason: str = ""

    @property
    def latest(self) -> AttemptFacts | None:
        """The attempt with the highest number."""
        return self.attempts[-1] if self.attempts else None


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a job stands.

    ``free``: it can be taken as ``attempt``, not before ``due``, and with nothing beside it where ``alone``. ``live``:
    somebody works on ``attempt``. ``failed``: no further attempt in this session.
    """

    state: Literal["done", "live", "free", "failed"]
    attempt: int = 0
    due: float = 0.0
    alone: bool = False
    category: str = ""
    reason: str = ""


def classify_job(job: JobFacts, now: float, since: float, rules: Rules) -> Standing:
    """Where a job stands at ``now``. Failures that ended before ``since``, when the session began, count no more."""
    if job.done:
        return Standing("done")
    if live := [attempt.number for attempt in job.attempts if is_live(attempt, now, rules)]:
        return Standing("live", live[-1])
    latest = job.latest
    following = latest.number + 1 if latest else 1
    if job.verdict_at > since:
        return Standing("failed", following - 1, 0.0, False, job.verdict_category, job.verdict_reason)
    recent = [attempt for attempt in job.attempts if _seen(attempt) > since]
    if not recent:
        return Standing("free", following)
    last = recent[-1]
    category, reason = last.category or KILLED, last.message or "its process ended without a word"
    failures = [attempt for attempt in recent if attempt.category not in (STOPPED, OOM, DEVICE_FULL)]
    full = [attempt for attempt in recent if attempt.category in (OOM, DEVICE_FULL)]
    permanent = last.code == 0 or last.code in exits.PERMANENT_CODES or category == DEADLINE
    if last.code == 0:
        category, reason = "no-result", "it exited 0 but committed no result; try --resume"
    if (
        (permanent and category not in (_ELSEWHERE, DEVICE_FULL))
        or len(failures) >= rules.attempts
        or (last in full and len(full) >= rules.memory_attempts)
    ):
        return Standing("failed", last.number, 0.0, False, category, reason)
    due = 0.0
    if failures and last is failures[-1] and last.ended and rules.pauses:
        due = last.ended + rules.pauses[min(len(failures), len(rules.pauses)) - 1]
    # a machine's memory may be what killed it: run alone, it takes no other training down the next time
    alone = bool(full) or any(not attempt.ended or attempt.category == KILLED for attempt in recent)
    return Standing("free", following, due, alone, category, reason)


def is_live(attempt: AttemptFacts, now: float, rules: Rules) -> bool:
    """Whether an attempt may still be running. A claim of later than now was written before a clock was set right."""
    return not attempt.ended and not attempt.gone and abs(now - attempt.claimed) <= rules.lease


def order_jobs(jobs: Sequence[_T], worker: int, workers: int) -> list[_T]:
    """The plan's order, from a start of each worker's own, so that they don't all try to claim the same job first."""
    start = len(jobs) * worker // max(1, workers)
    return [*jobs[start:], *jobs[:start]]


def _seen(attempt: AttemptFacts) -> float:
    return max(attempt.claimed, attempt.ended)
