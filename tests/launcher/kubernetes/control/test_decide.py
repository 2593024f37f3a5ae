"""What the launcher does, rule by rule: no server, no thread, no time that passes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from atb.documents.attempt import Progress
from launcher.kubernetes.api.informer import Changed, Deleted, Heartbeat, Listed, Unreachable
from launcher.kubernetes.api.requests import ApiError
from launcher.kubernetes.control import apply
from launcher.kubernetes.control.actions import (
    Cancelled,
    Create,
    Created,
    Delete,
    Finish,
    GiveUp,
    Gone,
    Leave,
    LookForResult,
    MarkCreated,
    PutOff,
    ReadProgress,
    ReadQueue,
    ReadWarnings,
    Refused,
    RememberMemory,
    RemoveFinished,
    StoreSilent,
    Unanswered,
    WriteVerdict,
)
from launcher.kubernetes.control.decide import MOST_CREATIONS, MOST_REMOVALS, decide, nodes_to_avoid
from launcher.kubernetes.control.state import RunState
from launcher.kubernetes.objects.job_status import Condition, JobStatus, PodStatus
from launcher.kubernetes.objects.warnings import WarningEvent
from launcher.records.categories import CATEGORIES
from launcher.records.progress import Committed, committed
from tests.launcher.fixtures import make_result
from tests.launcher.kubernetes.control.facts import (
    BEGAN,
    BTC,
    ETH,
    NOW,
    OPTIONS,
    PLAN,
    SOL,
    by_policy,
    ended,
    failed,
    job,
    know,
    looked,
    pod,
    settle,
)

OOM: Any = {"exit_reason": "OOMKilled"}
DRAINED = Condition("EvictionByEvictionAPI", "drain", NOW - 61)
LOST = Condition("DeletionByPodGC", "", NOW - 61)

# what is seen of the last Job              its category       what is done
ENDINGS: list[tuple[tuple[JobStatus | PodStatus, ...], str, str]] = [
    ((job(failed=by_policy(2)), ended(2)), "bad-spec", "verdict"),
    ((job(failed=by_policy(10)), ended(10)), "bad-data", "verdict"),
    ((job(failed=by_policy(20)), ended(20)), "diverged", "verdict"),
    ((job(failed=by_policy(21)), ended(21)), "no-accelerator", "another node"),
    ((job(failed=by_policy(21), infrastructure=2), ended(21)), "no-accelerator", "verdict"),
    ((job(failed=by_policy(137)), ended(137, **OOM)), "oom", "more memory"),
    ((job(failed=by_policy(137)), ended(137, ended=NOW - 7)), "oom", "more memory"),
    ((job(failed=by_policy(137), memory="32Gi"), ended(137, **OOM)), "oom", "verdict"),
    ((job(failed=by_policy(137), oom=3), ended(137, **OOM)), "oom", "verdict"),
    ((job(failed=failed()), ended(75)), "unavailable", "verdict"),
    ((job(failed=failed()), ended(70)), "bug", "verdict"),
    ((job(failed=failed()), ended(1, exit_code=None, reason="NodeLost")), "node-lost", "another node"),
    ((job(failed=failed(), infrastructure=2), ended(1, exit_code=None, reason="NodeLost")), "node-lost", "verdict"),
    ((job(failed=failed()), ended(1, exit_code=None, reason="Evicted")), "evicted", "verdict"),
    ((job(failed=failed("DeadlineExceeded")), ended(143)), "deadline", "verdict"),
    ((job(failed=failed()),), "failed", "verdict"),
    ((job(complete=Condition("", "", NOW)), ended(0, phase="Succeeded")), "no-result", "verdict"),
    ((job(complete=Condition("", "", NOW)), ended(0, phase="Succeeded", **OOM)), "oom", "more memory"),
    ((job(verdict="image: manifest unknown"), pod()), "image", "verdict"),
    ((job(verdict="node-lost: given up"), pod()), "node-lost", "another node"),
]
# in one state for too long                 its category       what is done
WAITS: list[tuple[tuple[JobStatus | PodStatus, ...], float, str]] = [
    ((job(), pod(phase="Pending", waiting="ErrImagePull", waiting_message="manifest unknown")), 121, "image"),
    ((job(), pod(phase="Pending", waiting="ErrImagePull", waiting_message="429")), 301, "image-passing"),
    ((job(), pod(phase="Pending", waiting="CreateContainerConfigError")), 121, "config"),
    ((job(), pod(phase="Pending", waiting="CreateContainerError")), 301, "start"),
    ((job(), pod(phase="Pending", waiting="ContainerCreating")), 301, "start"),
    ((job(), pod(phase="Pending", node="", unscheduled=Condition("", "1 Insufficient a/gpu.", 0))), 901, "gpu"),
    ((job(), pod(phase="Pending", node="")), 901, "unschedulable"),
    ((job(),), 901, "unschedulable"),
    ((job(suspended=True),), 901, "queue"),
    ((job(), pod()), 86_400 + 301, "deadline"),
    ((job(), pod(deleted=BEGAN)), 121, "node-lost"),
]


def committed_result(*about: Any, **more: Any) -> Committed:
    """What a launcher keeps of such a result."""
    return committed(make_result(*about, **more))


def work(state: RunState, now: float = NOW) -> list[Any]:
    """What is decided, without what is read now and then."""
    return [one for one in decide(state, now) if not isinstance(one, ReadProgress | ReadWarnings | ReadQueue)]


def looks(state: RunState, now: float) -> list[Any]:
    """What is to be read."""
    return [one for one in decide(state, now) if isinstance(one, ReadProgress | ReadWarnings | ReadQueue)]


def named(state: RunState, now: float = NOW) -> list[str]:
    """The kinds of what is decided, in order."""
    return [type(action).__name__ for action in work(state, now)]


def only(state: RunState, now: float = NOW) -> Any:
    """The one thing that is decided."""
    (action,) = work(state, now)
    return action


@pytest.mark.parametrize(
    ("objects", "category", "then"), ENDINGS, ids=lambda value: value if str(value) == value else ""
)
def test_a_job_that_has_ended_without_a_result(objects: Any, category: str, then: str) -> None:
    state = know(*objects)
    assert only(state) == LookForResult(BTC, state.latest_uid(BTC))
    decided = work(looked(state))
    if then == "verdict":
        (verdict,) = decided
        assert isinstance(verdict, WriteVerdict)
        assert verdict.found.category == category
        return
    create = decided[-1]
    assert isinstance(create, Create)
    assert (create.attempt.ordinal, create.again, create.after.category if create.after else "") == (1, True, category)
    if then == "more memory":
        assert create.attempt.memory == "12Gi"
        assert decided[:-1] == [RememberMemory(BTC, "12Gi", 8 << 30, NOW)]
    else:
        assert (create.attempt.avoid, len(decided)) == (("node-a",), 1)


@pytest.mark.parametrize("memory", ["8Gi", "32Gi"])
def test_table_and_verdict_show_the_memory_of_this_attempt_and_the_next(memory: str) -> None:
    state = looked(know(job(failed=by_policy(137), memory=memory), ended(137, **OOM)))
    shown = state.rows(NOW)[0].detail
    decided = work(state)[-1]
    if memory == "32Gi":
        assert shown.endswith("; it had 32Gi, and max_memory is 32Gi")
        assert decided.found.reason == shown
        return
    assert shown.endswith("; it had 8Gi, the next attempt gets 12Gi")
    again = job(ordinal=1, oom=1, memory=decided.attempt.memory, cause=decided.attempt.cause)
    apply.apply_job(state, NOW, Changed(again.name, again))
    apply.apply_pod(state, NOW, Changed(pod(ordinal=1).name, pod(ordinal=1)))
    assert state.rows(NOW)[0].detail == "(12Gi, after oom with 8Gi on node-a)"


def test_the_tables_above_follow_the_table_of_categories() -> None:
    retries = {category: then for _, category, then in ENDINGS if then != "verdict"}
    assert retries == {
        name: {"memory": "more memory", "elsewhere": "another node"}[category.retry]
        for name, category in CATEGORIES.items()
        if category.retry in ("memory", "elsewhere")
    }


@pytest.mark.parametrize(("objects", "seconds", "category"), WAITS, ids=lambda value: str(value)[:20])
def test_a_job_that_is_in_one_state_for_too_long_is_given_up_once(objects: Any, seconds: float, category: str) -> None:
    state = know(*objects)
    assert GiveUp not in map(type, decide(state, BEGAN + seconds - 2))
    action = only(state, BEGAN + seconds)
    assert isinstance(action, GiveUp)
    assert (action.category, action.reason.startswith("given up after")) == (category, True)
    apply.begin(state, action, NOW)
    assert named(state, BEGAN + seconds) == []
    apply.finish(state, action, NOW, None)
    assert named(state, BEGAN + seconds) == []


def test_a_job_given_up_that_turns_out_to_be_gone_has_vanished() -> None:
    state = know(job(suspended=True))
    action = only(state, late := BEGAN + 901)
    apply.begin(state, action, late)
    apply.finish(state, action, late, Gone())
    assert only(state, late) == LookForResult(BTC, "", vanished=True)


# creating


def test_every_job_is_created_at_first_and_that_is_noted() -> None:
    state = know(others=False, memory={ETH: "12Gi"})
    wanted = [action for action in work(state, NOW) if isinstance(action, Create)]
    assert [(action.job, action.attempt.memory, action.again) for action in wanted] == [
        (BTC, "8Gi", False),
        (ETH, "12Gi", False),
        (SOL, "8Gi", False),
    ]
    for action in wanted:
        apply.begin(state, action, NOW)
    assert named(state) == []
    for action in wanted:
        apply.finish(state, action, NOW, Created(job(action.job), answered=1.0))
    assert only(state) == MarkCreated(NOW)


def test_nothing_is_created_before_all_that_is_there_has_been_heard_of() -> None:
    state = RunState(PLAN, OPTIONS, mode="create", may_create=True)
    assert decide(state, NOW) == [ReadProgress()]


def test_creations_under_way_are_bounded() -> None:
    state = know(others=False)
    create = next(action for action in work(state, NOW) if isinstance(action, Create))
    state.in_flight = {str(number): create for number in range(MOST_CREATIONS - 1)}
    assert named(state) == ["Create"]


def test_no_more_jobs_exist_at_a_time_than_max_parallel() -> None:
    options = OPTIONS.model_copy(update={"max_parallel": 2})
    state = know(job(), pod(), others=False, options=options)
    (create,) = work(state)
    assert create.job == ETH
    apply.begin(state, create, NOW)
    late = NOW + 2 * OPTIONS.schedule_seconds
    assert work(state, late) == []
    apply.finish(state, create, NOW, Created(job(ETH), answered=1.0))
    apply.apply_job(state, NOW, Changed(job().name, job(complete=Condition("", "", NOW))))
    state.results[BTC] = committed_result(PLAN.run, PLAN.jobs[0])
    finish = only(state)
    assert finish == Finish(BTC)
    apply.begin(state, finish, NOW)
    removal = only(state)
    assert isinstance(removal, RemoveFinished)
    apply.begin(state, removal, NOW)
    assert work(state) == []
    apply.finish(state, removal, NOW, None)
    assert only(state).job == SOL


def test_a_job_that_is_done_and_can_not_be_removed_holds_its_place_for_a_minute() -> None:
    options = OPTIONS.model_copy(update={"max_parallel": 1})
    state = know(job(), pod(), job(ETH, failed=by_policy(137)), ended(137, ETH, **OOM), others=False, options=options)
    state.results[BTC] = committed_result(PLAN.run, PLAN.jobs[0])
    state.touch(BTC)
    apply.begin(state, Finish(BTC), NOW)
    looked(state, ETH)
    assert work(state, NOW + 59) == []
    assert [type(one) for one in work(state, NOW + 60)] == [RememberMemory, Create]


def test_a_job_that_ran_out_of_memory_takes_its_own_place_again() -> None:
    options = OPTIONS.model_copy(update={"max_parallel": 1})
    state = looked(know(job(complete=COMPLETE), ended(0, phase="Succeeded", **OOM), others=False, options=options))
    state.touch(BTC)
    assert [type(one) for one in work(state)] == [RememberMemory, Create]


def test_a_creation_that_is_put_off_comes_again_until_the_schedule_budget_is_over() -> None:
    state = know(others=False)
    create = work(state)[0]
    settle(state, ETH, SOL)
    apply.begin(state, create, NOW)
    apply.finish(state, create, NOW, PutOff("quota", "exceeded quota: jobs"))
    assert state.observe(BTC, NOW).category == "quota"
    assert named(state, NOW + 14) == []
    again = only(state, NOW + 20)
    assert isinstance(again, Create)
    assert again.again
    apply.begin(state, again, NOW + 20)
    apply.finish(state, again, NOW + 20, PutOff("quota", "exceeded quota: jobs"))
    looked(state)
    verdict = only(state, NOW + 901)
    assert isinstance(verdict, WriteVerdict)
    assert verdict.found.category == "quota"


def test_a_creation_that_is_refused_is_a_failure() -> None:
    state = know(others=False)
    create = work(state)[0]
    settle(state, ETH, SOL)
    apply.begin(state, create, NOW)
    apply.finish(state, create, NOW, Refused("spec.template: Invalid value"))
    assert only(state) == LookForResult(BTC, "")
    verdict = only(looked(state))
    assert (verdict.found.state, verdict.found.category) == ("failed", "refused")


def test_two_symbols_that_fail_on_a_node_keep_later_attempts_off_it() -> None:
    state = know(
        job(failed=by_policy(21)), ended(21), job(ETH, failed=by_policy(21)), ended(21, ETH), job(SOL), pod(SOL)
    )
    assert set(nodes_to_avoid(state)) == {"node-a"}
    created = [one for one in work(looked(looked(state), ETH), NOW) if isinstance(one, Create)]
    assert [(one.job, one.attempt.avoid, one.attempt.exclude) for one in created] == [
        (BTC, ("node-a",), ("node-a",)),
        (ETH, ("node-a",), ("node-a",)),
    ]


# ending


def test_a_job_with_a_result_is_done_whatever_its_job_says() -> None:
    state = know(job(failed=failed()), ended(1))
    state.results[BTC] = committed_result(PLAN.run, PLAN.jobs[0])
    assert only(state) == Finish(BTC)


COMPLETE = Condition("", "", NOW)


def finished(*objects: JobStatus | PodStatus, **options: Any) -> RunState:
    """A run whose first job has just been found to be done."""
    state = know(*objects, options=OPTIONS.model_copy(update=options))
    state.results[BTC] = committed_result(PLAN.run, PLAN.jobs[0], attempt=2)
    apply.begin(state, Finish(BTC), NOW)
    return state


def test_the_jobs_of_a_job_that_is_done_are_removed_and_it_is_shown_as_before() -> None:
    first, second = job(failed=by_policy(137)), job(ordinal=1, complete=COMPLETE)
    state = finished(first, ended(137, **OOM), second, ended(0, ordinal=1, phase="Succeeded"))
    before = state.rows(NOW)
    removal = only(state)
    assert removal == RemoveFinished(BTC, (first.name, second.name), attempt=2)
    apply.begin(state, removal, NOW)
    assert work(state) == []
    for name in (first.name, second.name):
        apply.apply_job(state, NOW, Deleted(name))
    apply.apply_pod(state, NOW, Listed({}))
    apply.apply_job(state, NOW, Listed({}))
    apply.finish(state, removal, NOW, None)
    assert state.rows(NOW) == before
    assert only(state) == Leave()


def test_a_removal_without_an_answer_is_done_again() -> None:
    state = finished(job(complete=COMPLETE), job(ETH), pod(ETH))
    removal = only(state)
    apply.begin(state, removal, NOW)
    apply.finish(state, removal, NOW, Unanswered("connection refused"))
    assert work(state, NOW + 14) == []
    assert only(state, NOW + 15) == removal


@pytest.mark.parametrize(
    ("objects", "options"),
    [((job(complete=COMPLETE),), {"keep_jobs": True}), ((job(verdict="deadline: given up"), pod()), {})],
    ids=["kept on request", "may be writing its log"],
)
def test_a_job_that_is_done_and_stays(objects: Any, options: Any) -> None:
    assert only(finished(*objects, **options)) == Leave()


def test_a_job_that_has_failed_stays_to_be_read() -> None:
    state = looked(know(job(failed=by_policy(10)), ended(10)))
    verdict = only(state)
    apply.begin(state, verdict, NOW)
    apply.finish(state, verdict, NOW, None)
    assert only(state) == Leave()


def test_removals_under_way_are_bounded() -> None:
    state = finished(job(complete=COMPLETE), job(ETH), pod(ETH))
    removal = only(state)
    state.in_flight = {str(number): removal for number in range(MOST_REMOVALS)}
    assert work(state) == []


@pytest.mark.parametrize(("mode", "more"), [("attach", {}), ("resume", {}), ("attach", {"may_create": True})])
def test_a_job_that_was_removed_when_it_was_done_is_not_created_again(mode: Any, more: Any) -> None:
    state = know(mode=mode, others=False, found_owner=True, **more)
    look = next(one for one in work(state) if one.job == BTC)
    assert isinstance(look, LookForResult)
    apply.begin(state, look, NOW)
    apply.finish(state, look, NOW, (make_result(PLAN.run, PLAN.jobs[0], attempt=2), False))
    assert [one for one in work(state) if one.job == BTC] == [Finish(BTC)]
    assert next(row for row in state.rows(NOW) if row.job == BTC).attempts == 2


def test_memory_that_was_needed_is_remembered_when_it_was_enough() -> None:
    state = know(job(ordinal=1, oom=1, memory="12Gi", complete=Condition("", "", NOW)))
    state.results[BTC] = committed_result(PLAN.run, PLAN.jobs[0], peak=9 << 30)
    assert work(state) == [RememberMemory(BTC, "12Gi", 9 << 30, NOW), Finish(BTC)]


@pytest.mark.parametrize(
    "objects",
    [
        (job(), ended(143, disrupted=DRAINED)),
        (job(), ended(137, disrupted=LOST)),
        (job(), ended(75)),
        (job(), pod(deleted=NOW, disrupted=DRAINED)),
        (job(failing=failed()), pod(deleted=NOW)),
        (job(failed=by_policy(137)), ended(137, ended=NOW - 1)),
        (job(), pod()),
    ],
    ids=["drained", "node lost", "may pass", "being evicted", "failing", "settling", "runs"],
)
def test_what_the_job_controller_brings_to_its_end_itself_is_left_to_it(objects: Any) -> None:
    assert named(know(*objects)) == []


def test_a_job_whose_time_is_over_is_decided_on_though_the_table_was_drawn_meanwhile() -> None:
    state = know(job(failed=by_policy(137)), ended(137, ended=NOW - 1))
    assert named(state) == []
    assert BTC not in state.awake
    state.rows(NOW + 60)  # which observes it anew
    assert isinstance(only(state, NOW + 60), LookForResult)


def test_a_result_that_came_with_another_launchers_attempt_is_looked_for_again() -> None:
    state = looked(know(job(failed=by_policy(137), oom=3), ended(137, **OOM)))
    assert named(state) == ["WriteVerdict"]
    apply.apply_job(state, NOW, Listed({one.name: one for one in (job(), job(ordinal=1, failed=by_policy(10)))}))
    assert only(state) == LookForResult(BTC, f"uid-{BTC}-1")


def test_a_job_that_is_deleted_has_vanished_and_is_not_made_again() -> None:
    state = know(job(), pod())
    apply.apply_job(state, NOW, Deleted(job().name))
    look = only(state)
    assert look == LookForResult(BTC, "", vanished=True)
    apply.begin(state, look, NOW)
    apply.finish(state, look, NOW, (None, False))
    verdict = only(state)
    assert (verdict.found.state, verdict.found.category) == ("interrupted", "vanished")


def test_a_job_that_was_created_after_a_list_was_asked_for_has_not_vanished() -> None:
    state = know(others=False)
    create = work(state)[0]
    apply.begin(state, create, NOW)
    apply.finish(state, create, NOW, Created(job(), answered=5.0))
    apply.apply_job(state, NOW, Listed({}, started=4.9))
    assert state.latest(BTC) is not None
    apply.apply_job(state, NOW, Listed({}, started=5.1))
    assert state.latest(BTC) is None


def test_a_job_whose_deletion_came_before_the_answer_to_its_creation_is_gone() -> None:
    state = know(others=False)
    create = work(state)[0]
    apply.begin(state, create, NOW)
    apply.apply_job(state, NOW, Listed({job().name: job()}))
    apply.apply_job(state, NOW, Deleted(job().name))
    apply.finish(state, create, NOW, Created(job(), answered=5.0))
    assert state.latest(BTC) is None


@pytest.mark.parametrize("objects", [(job(suspended=True),), (job(failed=by_policy(10)), ended(10))])
def test_what_the_server_left_without_an_answer_is_done_again_a_little_later(objects: Any) -> None:
    state, late = know(*objects), BEGAN + 901
    action = only(state, late)
    apply.begin(state, action, late)
    apply.finish(state, action, late, Unanswered("connection refused"))
    assert work(state, late + 14) == []
    assert only(state, late + 15) == action


def test_a_creation_without_an_answer_is_put_off() -> None:
    state = know(others=False)
    create = work(state)[0]
    apply.begin(state, create, NOW)
    apply.finish(state, create, NOW, Unanswered("connection refused"))
    assert (state.observe(BTC, NOW).category, state.put_off[BTC].since) == ("unavailable", NOW)


def test_a_note_that_all_is_created_is_written_again() -> None:
    state = know(job(), pod())
    state.marked = False
    mark = only(state)
    apply.begin(state, mark, NOW)
    apply.finish(state, mark, NOW, Unanswered("connection refused"))
    assert named(state, NOW + 14) == []
    assert named(state, NOW + 15) == ["MarkCreated"]


# cancelling


def test_after_a_cancel_nothing_is_created_and_what_is_live_is_deleted() -> None:
    state = know(job(failed=by_policy(21)), ended(21), job(ETH), pod(ETH))
    state.to_restart[SOL] = None
    state.settled.discard(SOL)
    apply.apply_cancelled(state)
    for name in (BTC, SOL):
        looked(state, name)
    decided = {action.job: action for action in work(state, NOW) if not isinstance(action, MarkCreated)}
    assert {name: type(action) for name, action in decided.items()} == {
        BTC: WriteVerdict,
        ETH: Delete,
        SOL: WriteVerdict,
    }
    assert decided[SOL].found.category == "cancelled"


def test_a_creation_that_a_quota_put_off_is_given_up_when_the_run_is_cancelled() -> None:
    state = know(others=False)
    create = work(state)[0]
    settle(state, ETH, SOL)
    apply.begin(state, create, NOW)
    apply.finish(state, create, NOW, PutOff("quota", "exceeded quota: jobs"))
    apply.apply_cancelled(state)
    looked(state)
    decided = work(state, NOW + 60)
    assert not any(isinstance(action, Create) for action in decided)
    (verdict,) = (action for action in decided if isinstance(action, WriteVerdict) and action.job == BTC)
    assert verdict.found.category == "cancelled"


@pytest.mark.parametrize("outcome", [Cancelled(), Created(job(ordinal=1), 1.0, cancelled=True)])
def test_who_creates_again_hears_of_a_cancel(outcome: Any) -> None:
    state = looked(know(job(failed=by_policy(21)), ended(21)))
    create = only(state)
    apply.begin(state, create, NOW)
    apply.finish(state, create, NOW, outcome)
    assert named(state) == ["Delete" if isinstance(outcome, Created) else "WriteVerdict"]


def test_who_notes_that_all_is_created_hears_of_a_cancel() -> None:
    state = know(job(), pod())
    mark = MarkCreated(NOW)
    apply.begin(state, mark, NOW)
    apply.finish(state, mark, NOW, Cancelled())
    assert only(state) == Delete(BTC, job())


# attaching and resuming


def test_attaching_creates_what_a_creation_that_was_cut_short_left_out_unless_it_is_done() -> None:
    state = know(job(), pod(), mode="attach", others=False, may_create=True, found_owner=True)
    assert work(state) == [LookForResult(ETH, ""), LookForResult(SOL, "")]
    for look in work(state, NOW):
        apply.begin(state, look, NOW)
    apply.finish(state, LookForResult(ETH, ""), NOW, (None, False))
    apply.finish(state, LookForResult(SOL, ""), NOW, (make_result(PLAN.run, PLAN.jobs[2]), False))
    create, finish = work(state)
    assert isinstance(create, Create)
    assert (create.job, create.attempt.ordinal, create.fresh, finish) == (ETH, 0, True, Finish(SOL))


def test_attaching_to_a_run_that_is_all_created_takes_what_is_missing_for_vanished() -> None:
    state = know(job(), pod(), mode="attach", others=False)
    assert work(state) == [LookForResult(ETH, "", vanished=True), LookForResult(SOL, "", vanished=True)]


def test_resuming_starts_what_failed_or_is_missing_and_leaves_the_rest() -> None:
    state = know(job(), pod(), job(ETH, failed=by_policy(10)), mode="resume", others=False, found_owner=True)
    assert work(state) == [LookForResult(ETH, f"uid-{ETH}-0"), LookForResult(SOL, "")]
    created = [one for one in work(looked(looked(state, ETH), SOL), NOW) if isinstance(one, Create)]
    assert [(one.job, one.attempt.ordinal, one.fresh) for one in created] == [(ETH, 1, True), (SOL, 0, True)]


def test_a_run_cancelled_before_its_jobs_were_heard_of_starts_none_anew() -> None:
    """The flag as it is where the cancel came first, and the first list of Jobs after it."""
    state = know(job(failed=by_policy(10)), mode="resume", others=False, cancelled=True, may_create=False)
    assert not any(isinstance(one, Create) for one in work(looked(looked(looked(state), ETH), SOL)))


def test_another_launcher_that_was_faster_is_followed() -> None:
    state = know(job(failed=by_policy(10)), mode="resume", found_owner=True)
    apply.apply_job(state, NOW, Listed({one.name: one for one in (job(), job(ordinal=1))}))
    assert named(looked(state)) == []


# looking around, and leaving


def test_progress_is_read_every_five_seconds_even_when_the_clock_is_set_back() -> None:
    state = know(job(), pod())
    apply.begin(state, ReadProgress(), NOW)
    apply.finish(state, ReadProgress(), NOW + 1, None)
    assert looks(state, NOW + 4) == []
    assert looks(state, NOW + 5) == looks(state, NOW - 3600) == [ReadProgress()]
    apply.begin(state, ReadProgress(), NOW + 5)
    assert looks(state, NOW + 60) == []


def test_progress_is_read_once_and_then_only_while_a_training_runs() -> None:
    state = know(job(), pod(phase="Pending", node=""), others=False)
    assert ReadProgress() in looks(state, NOW)
    apply.begin(state, ReadProgress(), NOW)
    apply.finish(state, ReadProgress(), NOW + 1, {})
    assert ReadProgress() not in looks(state, NOW + 60)
    apply.apply_pod(state, NOW, Changed(pod().name, pod()))
    assert ReadProgress() in looks(state, NOW + 61)


def test_warnings_are_read_where_a_job_waits_and_nothing_says_why() -> None:
    state = know(job(created=NOW, started=NOW))
    assert ReadWarnings() not in looks(state, NOW + 19)
    assert ReadWarnings() in looks(state, NOW + 21)
    warning = WarningEvent("FailedCreate", 'pods "x" is forbidden: exceeded quota: gpus', NOW)
    apply.apply_warnings(state, {job().name: warning})
    assert state.observe(BTC, NOW).category == "quota"
    assert ReadWarnings() not in looks(state, NOW + 23)


def test_the_queue_is_read_where_a_job_waits_in_it() -> None:
    state = know(job(suspended=True, created=NOW), options=OPTIONS.model_copy(update={"queue": "team-a"}))
    assert ReadQueue() in looks(state, NOW)
    apply.apply_queue_reasons(state, {f"uid-{BTC}-0": "insufficient quota"})
    assert state.observe(BTC, NOW).reason == "insufficient quota"


def test_the_launcher_leaves_when_all_is_settled_and_written() -> None:
    state = know(job(failed=by_policy(10)), ended(10))
    verdict = only(looked(state))
    apply.begin(state, verdict, NOW)
    assert named(state) == []
    apply.finish(state, verdict, NOW, None)
    assert only(state) == Leave()


def test_without_waiting_it_leaves_when_every_job_is_there() -> None:
    assert only(know(job(), pod(), wait=False)) == Leave()
    assert Leave not in map(type, decide(know(job(), pod(), others=False, wait=False), NOW))


def test_a_silent_server_is_left_after_a_quarter_of_an_hour() -> None:
    state = know(job(), pod())
    apply.apply_job(state, NOW, Unreachable(ApiError("no answer")))
    assert named(state, NOW + 899) == []
    assert only(state, NOW + 901) == Leave(silent=True)
    apply.apply_job(state, NOW + 902, Heartbeat())
    assert named(state, NOW + 902) == []
    apply.apply_pod(state, NOW + 902, Unreachable(ApiError("no Pods")))
    apply.apply_job(state, NOW + 1800, Heartbeat())
    assert only(state, NOW + 1803) == Leave(silent=True)


def test_what_an_attempt_before_the_latest_job_has_left_is_not_shown_as_progress() -> None:
    state = know(job(), pod())
    for seconds, stage in ((-5, ""), (5, "saving")):
        updated = datetime.fromtimestamp(BEGAN + seconds, UTC)
        state.progress[BTC] = Progress(attempt=2, stage="saving", epoch=3, epochs=3, updated=updated)
        row = next(row for row in state.rows(NOW) if row.job == BTC)
        assert (row.detail, row.epoch) == (stage, 3 if stage else 0)


def test_a_store_that_is_silent_for_more_than_a_moment_is_reported_and_when_it_answers_again_too() -> None:
    state, silent = know(job(), pod()), StoreSilent("store s3://b did not answer")
    for seconds, outcome, words in (
        (0, silent, ""),
        (5, {}, ""),
        (10, silent, ""),
        (15, silent, "store s3://b did not answer; trainings wait for it, and so does this launcher"),
        (50, silent, "store s3://b did not answer; trainings wait for it, and so does this launcher"),
        (55, {}, "the store answers again after 45 s"),
        (150, {}, ""),
    ):
        apply.begin(state, ReadProgress(), NOW + seconds)
        apply.finish(state, ReadProgress(), NOW + seconds, outcome)
        assert state.summary(NOW + seconds) == words, seconds


def test_a_server_that_answers_again_is_reported_for_a_while() -> None:
    state = know(job(), pod())
    apply.apply_job(state, NOW, Unreachable(ApiError("the API server lab does not answer: it is away")))
    assert state.summary(NOW) == "the API server lab does not answer: it is away"
    apply.apply_job(state, NOW, Unreachable(ApiError("GET /jobs: starting", 503)))
    assert state.summary(NOW) == "the API server answers 503: GET /jobs: starting"
    apply.apply_job(state, NOW + 30, Heartbeat())
    assert state.summary(NOW + 30) == "the API server answers again"
    assert state.summary(NOW + 90) == ""


def test_deciding_changes_nothing() -> None:
    state = looked(know(job(failed=by_policy(21)), ended(21)))
    assert decide(state, NOW) == decide(state, NOW)
    assert (state.in_flight, state.lost_on) == ({}, {("node-a", BTC, "no-accelerator")})


def test_a_job_counts_as_ending_until_the_store_was_read() -> None:
    state = know(job(failed=by_policy(10)), ended(10))
    assert (state.shown(BTC, NOW).state, state.shown(BTC, NOW).reason) == ("running", "ending")
    assert state.shown(BTC, NOW).attempts == 1
    looked(state)
    assert state.shown(BTC, NOW).category == "bad-data"
    assert replace(state.shown(BTC, NOW), reason="") == replace(state.observe(BTC, NOW), reason="")


SPOT = OPTIONS.model_copy(update={"spot": "capacity=spot", "on_demand_after": 2})
TAKEN: Any = {"phase": "Failed", "exit_code": 143, "disrupted": DRAINED, "ended": NOW - 60}


def taken(*names: str, ordinal: int = 0, **changes: Any) -> list[PodStatus]:
    """Pods that were taken from spot nodes."""
    return [replace(pod(ordinal=ordinal, **{**TAKEN, **changes}), name=name) for name in names]


# what is seen of a job on spot nodes that it may leave after two interruptions         what is done
ON_SPOT: list[tuple[list[JobStatus | PodStatus], str]] = [
    ([job(), *taken("a")], "nothing"),
    ([job(), *taken("a", "b")], "leave"),
    ([job(), *taken("a", "b"), pod(phase="Pending", node="")], "leave"),
    ([job(), *taken("a", "b"), pod()], "nothing"),  # it is at work again: the next time
    ([job(), *taken("a"), *taken("b", phase="Running", exit_code=None, deleted=NOW)], "nothing"),  # it still saves
    ([job(), *taken("a", "b", disrupted=LOST)], "leave"),
    ([job(), *taken("a", "b", disrupted=None, exit_code=75)], "nothing"),
    ([job(), *taken("a", "b", node="")], "nothing"),
    ([job(on_demand=True), *taken("a", "b")], "nothing"),
    ([job(failed=failed()), job(ordinal=1), *taken("a"), *taken("b", ordinal=1)], "leave"),
    ([job(failed=failed(), first_created=1.0), job(ordinal=1), *taken("a"), *taken("b", ordinal=1)], "nothing"),
]


@pytest.mark.parametrize(("objects", "then"), ON_SPOT)
def test_a_job_leaves_spot_nodes_after_so_many_interruptions(objects: Any, then: str) -> None:
    state = know(*objects, options=SPOT)
    if then == "nothing":
        assert work(state) == []
        return
    latest = state.latest(BTC)
    assert latest is not None
    assert only(state) == GiveUp(BTC, latest, "preempted", "interrupted 2 times on spot nodes")
    apply.begin(state, only(state), NOW)
    assert work(state) == []


def test_pods_whose_objects_went_with_their_nodes_are_counted() -> None:
    state = know(job(), options=SPOT)
    for name in ("a", "b"):
        (gone,) = taken(name)
        apply.apply_pod(state, NOW, Changed(name, gone))
        apply.apply_pod(state, NOW, Changed(name, gone))
        apply.apply_pod(state, NOW, Deleted(name))
    assert isinstance(only(state), GiveUp)


@pytest.mark.parametrize(
    ("objects", "cause"),
    [
        (
            [job(verdict="preempted: twice on spot nodes"), *taken("a", "b")],
            "on demand after preempted on node-a",
        ),
        ([job(verdict="gpu: given up after 15 min: 3 Insufficient nvidia.com/gpu.")], "on demand after gpu"),
        ([job(verdict="unschedulable: given up after 15 min")], "on demand after unschedulable"),
        ([job(verdict="node-lost: given up"), *taken("a", "b")], "on demand after node-lost on node-a"),
        ([job(failed=by_policy(137)), *taken("a", "b"), ended(137, **OOM)], "on demand after oom with 8Gi on node-a"),
    ],
)
def test_what_follows_on_other_nodes(objects: Any, cause: str) -> None:
    create = work(looked(know(*objects, options=SPOT)))[-1]
    assert isinstance(create, Create)
    assert (create.attempt.on_demand, create.attempt.ordinal, create.attempt.cause) == (True, 1, cause)


def test_a_node_that_is_lost_once_is_no_reason_to_leave_spot_nodes() -> None:
    create = work(looked(know(job(verdict="node-lost: given up"), *taken("a"), options=SPOT)))[-1]
    assert (create.attempt.on_demand, create.attempt.avoid) == (False, ("node-a",))


def test_a_job_that_has_left_spot_nodes_stays_away_and_ends_as_any_other() -> None:
    state = looked(know(job(on_demand=True, failed=by_policy(137)), ended(137, **OOM), options=SPOT))
    assert work(state)[-1].attempt.on_demand
    state = looked(know(job(on_demand=True, verdict="gpu: given up after 15 min"), options=SPOT))
    assert isinstance(only(state), WriteVerdict)


def test_without_a_number_jobs_stay_on_spot_nodes() -> None:
    options = SPOT.model_copy(update={"on_demand_after": None})
    assert work(know(job(), *taken("a", "b", "c"), options=options)) == []


def test_the_table_says_that_a_job_is_on_demand() -> None:
    state = know(job(on_demand=True, cause="on demand after preempted", ordinal=1), pod(ordinal=1), options=SPOT)
    (row,) = [row for row in state.rows(NOW) if row.job == BTC]
    assert row.detail == "(on demand after preempted)"
