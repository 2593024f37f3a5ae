"""What follows a failed Job: nothing, or one more with more memory or on another node. Pure, one rule a category."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from launcher.kubernetes.api.quantity import format_memory, parse_quantity
from launcher.kubernetes.objects.job_status import JobStatus
from launcher.kubernetes.objects.jobs import JobAttempt
from launcher.kubernetes.options import ClusterOptions
from launcher.records.categories import CATEGORIES, INFRASTRUCTURE

GROWTH = 3, 2
"""How much memory the next attempt gets after one ran out of it: half as much more."""
NO_SPOT = frozenset({"preempted", "taint", "affinity", "gpu", "cpu", "memory", "unschedulable"})
"""Why a job that ended on spot nodes may do better on others: they were taken away, or never came."""
SHORTEST = 60
"""Seconds of the deadline that must be left for another try to make sense."""


def first_attempt(
    options: ClusterOptions, now: float, *, remembered: str = "", after: JobStatus | None = None
) -> JobAttempt:
    """A fresh first try with fresh budgets; ``after`` the latest Job there is, so that its name is free.

    ``remembered`` is the memory that an earlier run came to need.
    """
    memory = options.memory
    if remembered:
        wanted = min(parse_quantity(remembered), parse_quantity(options.max_memory))
        if wanted > parse_quantity(memory):
            memory = format_memory(wanted)
    return JobAttempt(
        memory=memory,
        deadline_seconds=options.deadline_seconds,
        first_created=datetime.fromtimestamp(now, UTC),
        ordinal=after.ordinal + 1 if after else 0,
        cause="resumed" if after else "",
    )


def next_attempt(job: JobStatus, category: str, node: str, options: ClusterOptions, now: float) -> JobAttempt | None:
    """The try that follows a failed Job, from nothing but that Job; None where its budget is spent or nothing helps."""
    left = int(job.first_created + options.deadline_seconds - now)
    if category not in CATEGORIES or left < SHORTEST:
        return None
    following = JobAttempt(
        memory=job.memory,
        deadline_seconds=left,
        first_created=datetime.fromtimestamp(job.first_created, UTC),
        ordinal=job.ordinal + 1,
        oom=job.oom,
        infrastructure=job.infrastructure,
        on_demand=job.on_demand,
        cause=f"after {category}" + (f" on {node}" if node else ""),
    )
    if options.on_demand_after is not None and not job.on_demand and category in NO_SPOT:
        return to_on_demand(following)
    match CATEGORIES[category].retry:
        case "memory" if job.oom < options.oom_retries:
            memory = more_memory(job.memory, options.max_memory)
            cause = following.cause.replace("after oom", f"after oom with {job.memory}")
            return replace(following, oom=job.oom + 1, memory=memory, cause=cause) if memory else None
        case "elsewhere" if job.infrastructure < options.infrastructure_retries:
            return replace(following, infrastructure=job.infrastructure + 1, avoid=(node,) if node else ())
    return None


def to_on_demand(following: JobAttempt) -> JobAttempt:
    """The same attempt on nodes that are not reclaimed."""
    return replace(following, on_demand=True, cause=f"on demand {following.cause}")


def describe_memory(job: JobStatus, options: ClusterOptions, now: float) -> str:
    """How much memory a Job had that ran out of it, and how much the next attempt gets, or why there is none."""
    had = f"it had {job.memory}"
    if (following := next_attempt(job, "oom", "", options, now)) is not None:
        return f"{had}, the next attempt gets {following.memory}"
    if more_memory(job.memory, options.max_memory) is None:
        return f"{had}, and max_memory is {options.max_memory}"
    if job.oom >= options.oom_retries:
        return f"{had}, and the {options.oom_retries} retries with more (oom_retries) are used up"
    return f"{had}, and its deadline leaves no time for another attempt"


def more_memory(memory: str, limit: str) -> str | None:
    """Half as much more, at most ``limit``; None where the limit has been reached."""
    have, most = parse_quantity(memory), parse_quantity(limit)
    if have >= most:
        return None
    return format_memory(min(have * GROWTH[0] / GROWTH[1], most))


def bad_nodes(failures: Iterable[tuple[str, str, str]]) -> Mapping[str, frozenset[str]]:
    """Nodes on which two symbols or more have failed for the node's reasons, from (node, symbol, category)."""
    symbols: dict[str, set[str]] = {}
    for node, symbol, category in failures:
        if node and category in INFRASTRUCTURE:
            symbols.setdefault(node, set()).add(symbol)
    return {node: frozenset(found) for node, found in symbols.items() if len(found) > 1}
