"""What is to be done about a run now: every rule, as a pure function of what is known and the time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from atb.patience import spell_seconds
from launcher.kubernetes.api.quantity import parse_quantity
from launcher.kubernetes.control.actions import (
    Action,
    Create,
    Delete,
    Finish,
    GiveUp,
    Leave,
    Look,
    LookForResult,
    MarkCreated,
    ReadProgress,
    ReadQueue,
    ReadWarnings,
    RememberMemory,
    RemoveFinished,
    WriteVerdict,
)
from launcher.kubernetes.control.observe import Observation
from launcher.kubernetes.control.retry import bad_nodes, first_attempt, next_attempt, to_on_demand
from launcher.kubernetes.control.state import AGAIN_SECONDS, RunState
from launcher.kubernetes.objects.job_status import JobStatus
from launcher.kubernetes.objects.jobs import JobAttempt

MOST_CREATIONS = 96
"""Creations under way at a time. Fewer leave the senders idle between two decisions: 32 reached 0.59 of the rate of
bare threads where 96 reached 0.77 (``benchmarks.creation``). More would keep everything else waiting behind them."""
MOST_REMOVALS = 4
"""Removals under way at a time: creations and results come first."""
REMOVED_SECONDS = 60.0
"""How long a Job that is done counts for ``max_parallel`` if it can't be removed."""
PROGRESS_SECONDS = 5.0
WARNINGS_SECONDS = 30.0
QUEUE_SECONDS = 20.0
CHECK_SECONDS = 1.0
"""How often all jobs are looked at for one that runs or waits."""
WARNED_AFTER = 20.0
"""Seconds a Job waits for no known reason before its warnings are read."""
SILENCE_SECONDS = 900.0
"""How long the API server may be silent before the launcher exits; the Jobs continue."""


def decide(state: RunState, now: float) -> list[Action]:
    """The actions to start now, besides those in progress. ``now`` is by the API server's clock. Nothing is changed but
    what the state keeps so as not to look at quiet jobs again."""
    if state.silent and now > min(state.silent.values()) + SILENCE_SECONDS:
        return [Leave(silent=True)]
    found = [*_decide_jobs(state, now), *_remove_finished(state, now)] if state.complete else []
    if not state.marked and len(state.created) == len(state.planned) and not _rests(state, "", now):
        found.append(MarkCreated(now))
    if not found and state.complete and state.idle and _is_over(state):
        return [Leave()]
    return [*found, *_look_around(state, now)]


def nodes_to_avoid(state: RunState, *more: tuple[str, str, str]) -> dict[str, frozenset[str]]:
    """Nodes that later attempts are kept off, and the symbols that failed there."""
    lost = state.lost_on.union(more)
    return dict(bad_nodes((node, state.planned[job].spec.symbol, category) for node, job, category in lost))


def giving_up(found: Observation) -> tuple[str, str]:
    """Category and reason of a job that has been in one state for too long."""
    assert found.clock is not None
    category = found.category or ("start" if found.node else "unschedulable")
    if found.state == "running":
        category = "deadline"
    elif found.state == "interrupted" and category != "vanished":
        category = "node-lost"
    return category, f"given up after {spell_seconds(found.clock.seconds)}: {found.reason or found.state}"


def _decide_jobs(state: RunState, now: float) -> list[Action]:
    found: list[Action] = []
    room = _room(state, now)
    for job in state.wake(now):
        if job in state.in_flight or _rests(state, job, now):
            continue
        if not (wanted := list(_decide_job(state, job, now, room))):
            continue
        creations = sum(isinstance(action, Create) for action in wanted)
        if creations <= max(room, 0):
            room -= creations
            found.extend(wanted)
    new = islice(state.line, max(room, 0))
    found.extend(_create(state, job, _first_attempt(state, job, None, now)) for job in new)
    return found


def _remove_finished(state: RunState, now: float) -> list[Action]:
    """Jobs that are done go, so that they don't fill a quota on how many there may be. What failed stays to be read."""
    room = MOST_REMOVALS - sum(isinstance(action, RemoveFinished) for action in state.in_flight.values())
    found: list[Action] = []
    for job in sorted(state.to_remove):  # one seed decides everything in the simulation
        if len(found) >= room:
            break
        tries, result = state.tries(job), state.results.get(job)
        if result is None or job in state.in_flight or _rests(state, job, now):
            continue
        if all(one.complete or one.failed for one in tries):  # till then it may be writing its log
            found.append(RemoveFinished(job, tuple(one.name for one in tries), result.attempt))
    return found


def _room(state: RunState, now: float) -> int:
    """How many creations may begin now."""
    creating = {job for job, action in state.in_flight.items() if isinstance(action, Create)}
    room = MOST_CREATIONS - len(creating)
    if state.options.max_parallel is None:
        return room
    # what is done holds its place until it has been removed; not for ever, since a lost node keeps it from that
    done = {job for job, since in state.to_remove.items() if now < since + REMOVED_SECONDS}
    return min(room, state.options.max_parallel - len(state.present | done | creating))


def _is_over(state: RunState) -> bool:
    if len(state.settled) == len(state.planned):
        return True
    if state.wait or state.to_restart:
        return False
    return state.created.union(state.refused).issuperset(state.planned)


def _decide_job(state: RunState, job: str, now: float, room: int) -> Iterator[Action]:
    """The rules of one job about which nothing is under way; the first that applies counts. ``room``: how many
    creations may begin, so that none is prepared in vain."""
    if state.cancelled and (live := state.latest(job)) is not None and live.live:
        yield Delete(job, live)
        return
    if job in state.to_restart:
        if not state.has_looked(job):
            yield LookForResult(job, state.latest_uid(job))
        elif room > 0:
            yield _create(state, job, _first_attempt(state, job, state.to_restart[job], now), fresh=True)
        return
    found = state.observe(job, now)
    if found.final:
        yield from _end(state, job, found, state.latest(job), now)
    elif (later := state.put_off.get(job)) is not None:
        if now >= later.at and room > 0:
            yield _create(state, job, later.attempt, again=True)
    elif job not in state.created:
        if room > 0:
            yield _create(state, job, _first_attempt(state, job, None, now))
    elif (leaving := _leave_spot(state, job)) is not None:
        yield leaving
    elif found.clock is not None and found.clock.is_over(now):
        yield from _give_up(state, job, found, state.latest(job), now)
    else:
        state.sleep(job, found)


def _end(state: RunState, job: str, found: Observation, latest: JobStatus | None, now: float) -> Iterator[Action]:
    """A job has come to an end: look for its result, try again where that helps, or write down why not."""
    if not state.has_looked(job):
        vanished = latest is None and job in state.created and not state.cancelled
        yield LookForResult(job, state.latest_uid(job), vanished)
        return
    if (result := state.results[job]) is not None:
        if latest is not None and latest.oom:
            yield RememberMemory(job, latest.memory, result.peak_memory_bytes, now)
        yield Finish(job)
        return
    following = None
    if latest is not None and found.state == "failed" and job not in state.refused and not state.cancelled:
        following = next_attempt(latest, found.category, found.node, state.options, now)
    if latest is None or following is None:
        yield WriteVerdict(job, found, latest, now)
        return
    if not following.on_demand and _interrupted_enough(state, job):
        following = to_on_demand(following)
    if found.category == "oom":
        yield RememberMemory(job, following.memory, int(parse_quantity(latest.memory)), now)
    yield _create(state, job, following, after=found, again=True)


def _give_up(state: RunState, job: str, found: Observation, latest: JobStatus | None, now: float) -> Iterator[Action]:
    """A job has been in one state for too long."""
    category, reason = giving_up(found)
    if latest is None or latest.deleting:
        yield from _end(state, job, replace(found, state="failed", category=category, reason=reason), latest, now)
    elif latest.uid not in state.given_up:
        yield GiveUp(job, latest, category, reason)


def _leave_spot(state: RunState, job: str) -> GiveUp | None:
    """End a Job that was taken from spot nodes often enough, unless one of its Pods is running: another try follows, on
    other nodes."""
    if not _interrupted_enough(state, job):
        return None
    latest = state.latest(job)
    if latest is None or not latest.live or latest.failing or latest.on_demand or latest.uid in state.given_up:
        return None
    pods = [pod for pod in state.pods[job].values() if pod.job_name == latest.name]
    if any(pod.phase in ("Running", "Unknown") for pod in pods):
        return None
    times = state.interruptions(job)
    return GiveUp(job, latest, "preempted", f"interrupted {times} time{'s' * (times > 1)} on spot nodes")


def _interrupted_enough(state: RunState, job: str) -> bool:
    after = state.options.on_demand_after
    return after is not None and state.interruptions(job) >= after


def _first_attempt(state: RunState, job: str, last: JobStatus | None, now: float) -> JobAttempt:
    return first_attempt(state.options, now, remembered=state.memory.get(job, ""), after=last)


def _create(
    state: RunState,
    job: str,
    attempt: JobAttempt,
    *,
    after: Observation | None = None,
    again: bool = False,
    fresh: bool = False,
) -> Create:
    blamed = [(after.node, job, after.category)] if after is not None else []
    if (avoid := tuple(sorted(nodes_to_avoid(state, *blamed)))) != attempt.exclude:
        attempt = replace(attempt, exclude=avoid)
    return Create(job, attempt, after=after, again=again, fresh=fresh)


def _look_around(state: RunState, now: float) -> Iterator[Look]:
    """What no watch reports is polled while a job waits for it, and progress while a training runs: a run that waits in
    a queue asks nothing of the store."""
    progress = _is_due(state, ReadProgress, PROGRESS_SECONDS, now)
    if progress and (ReadProgress not in state.looked_at or state.store_silent_since is not None):
        yield ReadProgress()
        progress = False
    warnings = _is_due(state, ReadWarnings, WARNINGS_SECONDS, now)
    queue = state.options.queue is not None and _is_due(state, ReadQueue, QUEUE_SECONDS, now)
    if not (progress or warnings or queue) or _is_recent(state.present_checked, CHECK_SECONDS, now):
        return
    state.present_checked = now
    present = [state.observe(job, now) for job in state.present]
    waiting = [one for one in present if one.state == "pending"]
    if progress and any(one.state == "running" for one in present):
        yield ReadProgress()
    if warnings and any(_is_unexplained(one, now) for one in waiting):
        yield ReadWarnings()
    if queue and any(one.category == "queue" for one in waiting):
        yield ReadQueue()


def _is_due(state: RunState, look: type[Look], seconds: float, now: float) -> bool:
    return look not in state.looking and not _is_recent(state.looked_at.get(look), seconds, now)


def _rests(state: RunState, job: str, now: float) -> bool:
    """Whether an action about it had no answer a moment ago; "" for one about the run."""
    return _is_recent(state.unanswered.get(job), AGAIN_SECONDS, now)


def _is_recent(at: float | None, seconds: float, now: float) -> bool:
    """Whether it was in the last seconds; a clock that was set back must not keep us waiting for longer."""
    return at is not None and at <= now < at + seconds


def _is_unexplained(waiting: Observation, now: float) -> bool:
    """Whether it has waited for a while without a known reason."""
    return not waiting.category and waiting.clock is not None and now > waiting.clock.since + WARNED_AFTER
