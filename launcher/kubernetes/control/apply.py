"""How observations and finished actions change a run's state. Applying a change twice is the same as once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

from launcher.kubernetes.api.client import BACK
from launcher.kubernetes.api.informer import Change, Changed, Deleted, Listed, Unreachable
from launcher.kubernetes.control import actions
from launcher.kubernetes.control.actions import Action
from launcher.kubernetes.control.diagnose import diagnose_ended
from launcher.kubernetes.control.state import AGAIN_SECONDS, COUNTED_SECONDS, PutOffCreation, RunState
from launcher.kubernetes.objects.job_status import JobStatus, PodStatus, keep_pull_error
from launcher.kubernetes.objects.jobs import JobAttempt
from launcher.kubernetes.objects.warnings import WarningEvent
from launcher.records.categories import INFRASTRUCTURE

_Status = TypeVar("_Status", JobStatus, PodStatus)


# observations


def apply_job(state: RunState, now: float, change: Change[JobStatus]) -> None:
    """A Job has changed, or the API server has fallen silent."""
    _apply(state, now, "jobs", state.jobs, change)


def apply_pod(state: RunState, now: float, change: Change[PodStatus]) -> None:
    """A Pod has changed, or the API server doesn't list them."""
    _apply(state, now, "pods", state.pods, change)


def apply_warnings(state: RunState, found: Mapping[str, WarningEvent]) -> None:
    """Something was warned about."""
    for name, warning in found.items():
        if (job := state.job_of.get(name)) is not None and state.warnings.get(name) != warning:
            state.warnings[name] = warning
            state.touch(job)


def apply_queue_reasons(state: RunState, reasons: Mapping[str, str]) -> None:
    """The queue says why Jobs wait."""
    for job in state.planned:
        if state.queue_reasons.get(uid := state.latest_uid(job)) != reasons.get(uid):
            state.touch(job)
    state.queue_reasons = dict(reasons)


def apply_note(state: RunState, now: float, words: str) -> None:
    """A request waits, with a reason, or no longer waits."""
    state.note, state.noted = words, now


def apply_store_note(state: RunState, words: str) -> None:
    """The store is waited for, or answers again."""
    state.store_note = words


def apply_cancelled(state: RunState) -> None:
    """Somebody has cancelled the run: nothing is created any more, and what is missing was stopped."""
    state.cancelled, state.may_create = True, False
    state.created.update(state.planned)
    state.put_off.clear()
    state.to_restart.clear()
    for job in state.planned:
        state.touch(job)


def _apply(
    state: RunState, now: float, resource: str, shelf: dict[str, dict[str, _Status]], change: Change[_Status]
) -> None:
    if isinstance(change, Unreachable):
        state.silent.setdefault(resource, now)
        apply_note(state, now, change.error.trouble)
        return
    if state.silent.pop(resource, None) is not None and not state.silent:
        apply_note(state, now, BACK)
    match change:
        case Listed(objects, started):
            for job, known in shelf.items():
                for name in [name for name in known if name not in objects]:
                    if state.answered.get(name, started) <= started:  # else it was created after the list request
                        _forget(state, job, known, name)
            for status in objects.values():
                _keep(state, shelf, status)
            _complete(state, resource)
        case Changed(_, status):
            _keep(state, shelf, status)
        case Deleted(name) if name in state.job_of:
            job = state.job_of[name]
            _forget(state, job, shelf[job], name)


def _complete(state: RunState, resource: str) -> None:
    """Once everything is listed, mark the jobs to restart unless the store has their result."""
    if resource in state.listed:
        return
    state.listed.add(resource)
    for job in state.planned if state.complete and not state.cancelled else ():
        latest = state.latest(job)
        missing = latest is None and state.may_create and (state.mode != "create" or state.found_owner)
        if missing or (state.mode == "resume" and latest is not None and not latest.live):
            state.to_restart[job] = latest
            state.touch(job)


def _keep(state: RunState, shelf: dict[str, dict[str, _Status]], status: _Status) -> None:
    known = shelf.get(status.job)
    if known is None:
        return  # of this run's name, and not in its plan
    if isinstance(status, PodStatus):
        status = keep_pull_error(known.get(status.name), status)
    if known.get(status.name) == status:
        return  # as of a creation, which is both answered and watched
    if isinstance(status, PodStatus):
        _count_interruption(state, status)
        if status.phase == "Failed":
            _blame(state, status.job, status.node, diagnose_ended(status).category)
    else:
        state.created.add(status.job)
        last = state.to_restart.get(status.job)
        if status.job in state.to_restart and (last is None or status.ordinal > last.ordinal):
            del state.to_restart[status.job]  # another launcher was faster
    known[status.name] = status
    state.job_of[status.name] = status.job
    state.touch(status.job)


def _forget(state: RunState, job: str, known: dict[str, _Status], name: str) -> None:
    if job in state.removed:
        return  # its node and attempts are still shown
    status = known.pop(name, None)
    if isinstance(status, JobStatus):
        state.gone.add(status.uid)
    state.touch(job)


def _count_interruption(state: RunState, pod: PodStatus) -> None:
    """Pods are counted as they are seen, since the object of one that was evicted goes with it."""
    if not state.options.spot or not pod.node or pod.phase == "Succeeded":
        return
    job = state.jobs[pod.job].get(pod.job_name)
    if job is not None and job.on_demand:
        return
    if pod.disrupted is not None or (pod.phase == "Failed" and diagnose_ended(pod).category == "node-lost"):
        state.interrupted.setdefault(pod.job, {})[pod.name] = pod.job_name


def _blame(state: RunState, job: str, node: str, category: str) -> None:
    if node and category in INFRASTRUCTURE:
        state.lost_on.add((node, job, category))


# what is done


def begin(state: RunState, action: Action, now: float) -> None:
    """An action is being done."""
    match action:
        case actions.Create(job=job, after=after):
            state.in_flight[job] = action
            state.line.pop(job, None)
            state.to_restart.pop(job, None)
            if after is not None:
                _blame(state, job, after.node, after.category)
        case actions.LookForResult(job=job) | actions.Delete(job=job):
            state.in_flight[job] = action
        case actions.RemoveFinished(job=job):
            state.in_flight[job] = action
            state.removed.add(job)
        case actions.GiveUp(job=job, status=status):
            state.in_flight[job] = action
            state.given_up.add(status.uid)
        case actions.WriteVerdict(job=job, found=found):
            state.writing += 1
            state.settled.add(job)
            state.verdicts[job] = found
            state.touch(job)
            _blame(state, job, found.node, found.category)
        case actions.RememberMemory():
            state.writing += 1
        case actions.MarkCreated():
            state.writing += 1
            state.marked = True
        case actions.Finish(job=job):
            state.settled.add(job)
            state.touch(job)
            if not state.options.keep_jobs and state.jobs[job]:
                state.to_remove[job] = now
        case actions.ReadProgress() | actions.ReadWarnings() | actions.ReadQueue():
            state.looking.add(type(action))
            state.looked_at[type(action)] = now


def finish(state: RunState, action: Action, now: float, outcome: Any) -> None:
    """The outcome of an action."""
    match action:
        case actions.Create(job=job, attempt=attempt):
            del state.in_flight[job]
            _finish_creation(state, job, attempt, outcome, now)
        case actions.MarkCreated() if isinstance(outcome, actions.Unanswered):
            state.writing -= 1
            state.marked = False
            state.unanswered[""] = now
            apply_note(state, now, outcome.reason)
        case (
            actions.LookForResult(job=job)
            | actions.GiveUp(job=job)
            | actions.Delete(job=job)
            | actions.RemoveFinished(job=job)
        ) if isinstance(outcome, actions.Unanswered):
            del state.in_flight[job]
            state.given_up.discard(state.latest_uid(job))
            state.unanswered[job] = now
            apply_note(state, now, outcome.reason)
        case actions.LookForResult(job=job, latest=latest):
            del state.in_flight[job]
            state.results[job], cancelled = outcome
            state.looked_after[job] = latest
            if state.results[job] is not None:
                state.to_restart.pop(job, None)
            state.touch(job)
            if cancelled:
                apply_cancelled(state)
        case actions.GiveUp(job=job, status=status) | actions.Delete(job=job, status=status):
            del state.in_flight[job]
            if isinstance(outcome, actions.Gone):
                _forget(state, job, state.jobs[job], status.name)
        case actions.RemoveFinished(job=job):
            del state.in_flight[job]
            state.to_remove.pop(job, None)
            _hurry(state, len(action.names), now)
        case actions.WriteVerdict() | actions.RememberMemory():
            state.writing -= 1
        case actions.MarkCreated():
            state.writing -= 1
            if isinstance(outcome, actions.Cancelled):
                apply_cancelled(state)
        case actions.ReadProgress() | actions.ReadWarnings() | actions.ReadQueue():
            state.looking.discard(type(action))
            if isinstance(action, actions.ReadProgress):
                _note_store(state, outcome, now)
            _finish_look(state, action, None if isinstance(outcome, actions.StoreSilent) else outcome)


def _note_store(state: RunState, outcome: Any, now: float) -> None:
    """Say that the store does not answer from the second reading on that fails, and then when it does again."""
    since = state.store_silent_since
    if isinstance(outcome, actions.StoreSilent):
        state.store_silent_since = now if since is None else since
        if since is not None:
            state.store_note = f"{outcome.reason}; trainings wait for it, and so does this launcher"
    elif outcome is not None:
        if since is not None and state.store_note:
            apply_note(state, now, f"the store answers again after {now - since:.0f} s")
        state.store_silent_since, state.store_note = None, ""


def _hurry(state: RunState, count: int, now: float) -> None:
    """So many Jobs are gone: where their number was what a quota bounds, as many others soon have room."""
    waiting = sorted((later.since, job) for job, later in state.put_off.items() if later.category == "quota")
    for _, job in waiting[:count]:
        later = state.put_off[job]
        state.put_off[job] = replace(later, at=min(later.at, now + COUNTED_SECONDS))


def _finish_creation(state: RunState, job: str, attempt: JobAttempt, outcome: Any, now: float) -> None:
    if isinstance(outcome, actions.Unanswered):
        outcome = actions.PutOff("unavailable", outcome.reason)
    before = state.put_off.pop(job, None)
    state.touch(job)
    match outcome:
        case actions.Created(status, answered, cancelled):
            if status.uid not in state.gone and status.name not in state.jobs[job]:  # else the watch was faster
                state.answered[status.name] = answered
                _keep(state, state.jobs, status)
            if cancelled:
                apply_cancelled(state)
        case actions.PutOff(category, reason):
            since = before.since if before else now
            state.put_off[job] = PutOffCreation(attempt, category, reason, since, now + AGAIN_SECONDS)
        case actions.Refused(reason):
            state.refused[job] = reason
        case actions.Cancelled():
            apply_cancelled(state)


def _finish_look(state: RunState, look: actions.Look, found: Any) -> None:
    """``found`` is None where it could not be read: the table is a little behind, and it is read again later."""
    match look:
        case actions.ReadProgress() if found:
            state.progress.update(found)
        case actions.ReadWarnings() if found:
            apply_warnings(state, found)
        case actions.ReadQueue() if found is not None:
            apply_queue_reasons(state, found)
