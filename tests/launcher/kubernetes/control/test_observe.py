"""The state of a job from what is there. The test plays the Job controller and the kubelet by writing facts down."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from atb.contract.exits import EXITS
from launcher.kubernetes.control.diagnose import diagnose_ended
from launcher.kubernetes.control.observe import Observation, observe
from launcher.kubernetes.objects.job_status import Condition, JobStatus, PodStatus, keep_pull_error, read_job, read_pod
from launcher.kubernetes.objects.jobs import build_job
from launcher.kubernetes.objects.pod import Target
from launcher.kubernetes.objects.warnings import WarningEvent
from launcher.records.categories import CATEGORIES
from tests.launcher.fixtures import make_options, make_plan, make_try

NOW = 1_800_000_000.0
OPTIONS = make_options(schedule_seconds=600, start_seconds=300)


def job(**changes: Any) -> JobStatus:
    body = build_job(make_plan("BTCUSDT").jobs[0], Target("run-1", "s3://b"), OPTIONS, make_try())
    body["metadata"] |= {"uid": "u-1", "creationTimestamp": "2026-11-01T12:00:00Z"}
    return replace(read_job(body), **{"created": NOW - 100, "started": NOW - 100, **changes})


def pod(**changes: Any) -> PodStatus:
    body = {
        "metadata": {"name": "pod-1", "creationTimestamp": "2026-11-01T12:00:00Z"},
        "spec": {},
        "status": {"phase": "Pending"},
    }
    facts = replace(read_pod(body), job_name=job().name, job="BTCUSDT-fast", created=NOW - 90)
    return replace(facts, **changes)


def on_node(**changes: Any) -> PodStatus:
    return pod(node="node-a", scheduled=Condition("", "", NOW - 80), **changes)


def ended(code: int, **changes: Any) -> PodStatus:
    fields = {
        "phase": "Failed",
        "exit_code": code,
        "exit_reason": "Error",
        "running_since": NOW - 70,
        "ended": NOW - 60,
    }
    return on_node(**{**fields, **changes})


def look(job_facts: JobStatus, *pods: PodStatus, now: float = NOW, **more: Any) -> Observation:
    return observe([job_facts], pods, OPTIONS, now, **more)


FAILED = Condition("BackoffLimitExceeded", "Job has reached the specified backoff limit", NOW - 50)


def by_policy(code: int) -> Condition:
    text = f"Container trainer for pod lab/pod-1 failed with exit code {code} matching FailJob rule at index 1"
    return Condition("PodFailurePolicy", text, NOW - 50)


def test_only_a_committed_result_is_success() -> None:
    complete = job(complete=Condition("CompletionsReached", "", NOW))
    assert look(complete, committed=True).state == "done"
    assert (look(complete).state, look(complete).category) == ("failed", "no-result")
    assert look(job(failed=FAILED), ended(1), committed=True).state == "done"


def test_a_pod_that_has_succeeded_is_ending_until_its_job_is_complete() -> None:
    found = look(job(), ended(0, phase="Succeeded"))
    assert (found.state, found.reason, found.final) == ("running", "ending", False)


def test_a_pod_that_succeeded_with_a_child_out_of_memory_is_out_of_memory() -> None:
    killed = ended(0, phase="Succeeded", exit_reason="OOMKilled")
    assert look(job(complete=Condition("CompletionsReached", "", NOW)), killed).category == "oom"


@pytest.mark.parametrize("entry", [entry for entry in EXITS if entry.code], ids=lambda entry: str(entry.code))
def test_every_exit_code_has_its_category(entry: Any) -> None:
    found = look(job(failed=by_policy(entry.code)), ended(entry.code))
    assert (found.category, found.node, found.final) == (entry.category, "node-a", True)
    assert found.category in CATEGORIES


def test_a_failed_job_whose_pods_are_gone_still_says_why() -> None:
    assert look(job(failed=by_policy(20)), now=NOW + 60).category == "diverged"


def test_a_disruption_comes_before_out_of_memory_and_that_before_the_exit_code() -> None:
    disrupted = Condition("PreemptionByScheduler", "preempted by another pod", NOW - 61)
    both = ended(137, exit_reason="OOMKilled", disrupted=disrupted)
    assert look(job(), both).category == "preempted"
    assert look(job(failed=by_policy(137)), ended(137, exit_reason="OOMKilled")).category == "oom"
    assert look(job(failed=by_policy(137)), ended(137)).category == "oom"


def test_a_failure_after_an_interruption_is_blamed_on_the_pod_that_failed() -> None:
    first = ended(143, name="pod-0", created=NOW - 95, disrupted=Condition("EvictionByEvictionAPI", "drain", NOW - 90))
    found = look(job(failed=by_policy(10)), first, ended(10))
    assert (found.category, found.pod) == ("bad-data", "pod-1")


def test_an_interruption_is_not_a_failure() -> None:
    lost = ended(143, disrupted=Condition("DeletionByTaintManager", "taint", NOW - 61))
    found = look(job(), lost)
    assert (found.state, found.category, found.final) == ("interrupted", "node-lost", False)
    found = look(job(), ended(143, disrupted=Condition("EvictionByEvictionAPI", "drained", NOW - 61)))
    assert (found.state, found.category, found.final) == ("interrupted", "preempted", False)


def test_a_reason_that_may_still_come_is_waited_for_a_moment() -> None:
    failed = job(failed=by_policy(137))
    late = ended(137, ended=NOW - 2)
    assert not look(failed, late).final
    assert look(failed, late, now=NOW + 4).category == "oom"


@pytest.mark.parametrize(
    ("message", "category"),
    [
        ("0/3 nodes are available: 3 Insufficient nvidia.com/gpu. preemption: 0/3 nodes are available.", "gpu"),
        ("0/3 nodes are available: 1 Insufficient nvidia.com/gpu, 2 node(s) had untolerated taint {a: b}.", "gpu"),
        ("0/3 nodes are available: 3 node(s) had untolerated taint {nvidia.com/gpu: present}.", "taint"),
        ("0/5 nodes are available: 5 node(s) didn't match Pod's node affinity/selector.", "affinity"),
        (
            "0/4 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, 3 node(s) had untolerated "
            "taint {node-role.kubernetes.io/control-plane: }.",
            "affinity",
        ),
        (
            "0/4 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, 3 node(s) had untolerated "
            "taint(s).",
            "affinity",
        ),
        (
            "0/4 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, 3 node(s) had untolerated "
            "taint(s) {team: research}.",
            "taint",
        ),
        ("0/2 nodes are available: 2 Insufficient cpu.", "cpu"),
        ("0/2 nodes are available: 2 Insufficient memory.", "memory"),
        ("0/2 nodes are available: 2 node(s) were unschedulable.", "unschedulable"),
        ("no nodes available to schedule pods", "unschedulable"),
    ],
)
def test_the_cause_of_an_unschedulable_pod_is_named_and_has_a_budget(message: str, category: str) -> None:
    found = look(job(), pod(unscheduled=Condition("Unschedulable", message, NOW - 80)))
    assert (found.state, found.category, found.reason) == ("pending", category, message)
    assert found.clock is not None
    assert not found.clock.is_over(NOW)
    assert found.clock.is_over(NOW + 600)


@pytest.mark.parametrize(
    ("reason", "message", "category"),
    [
        ("InvalidImageName", "couldn't parse image name", "image"),
        ("ErrImageNeverPull", "not present with pull policy of Never", "image"),
        ("ErrImagePull", 'failed to resolve reference "a/b:c": a/b:c: not found', "image"),
        ("ErrImagePull", "pull access denied, repository does not exist or may require authorization", "image"),
        ("ImagePullBackOff", 'Back-off pulling image "x": ErrImagePull: 401 Unauthorized', "image"),
        ("ErrImagePull", "toomanyrequests: You have reached your pull rate limit", "image-passing"),
        ("ErrImagePull", "pull QPS exceeded", "image-passing"),
        ("ErrImagePull", "dial tcp: lookup registry: i/o timeout", "image-passing"),
        ("ErrImagePull", "dial tcp: lookup registry.example: no such host", "image-passing"),
        ("ErrImagePull", "unexpected status: 503 Service Unavailable", "image-passing"),
        ("ImagePullBackOff", 'Back-off pulling image "x"', "image-passing"),
        ("ErrImagePull", 'failed to pull image "r/atb:0.1.429": r/atb:0.1.429: not found', "image"),
        (
            "ErrImagePull",
            'failed to resolve reference "r/timeout-x:1.502": r/timeout-x:1.502: not found',
            "image",
        ),
        (
            "ErrImagePull",
            'image "r/x:503": HEAD https://r/v2/x/manifests/503: 404 Not Found',
            "image",
        ),
        ("ErrImagePull", 'image "r/not-found:denied": Get "https://r/v2/": dial tcp: i/o timeout', "image-passing"),
        ("ErrImagePull", 'pull image \\"r/x:canceled\\": 401 Unauthorized', "image"),
        ("CreateContainerConfigError", 'secret "keys" not found', "config"),
        ("CreateContainerError", "context deadline exceeded", "start"),
        ("ContainerCreating", "", ""),
    ],
)
def test_a_container_that_waits_says_for_what(reason: str, message: str, category: str) -> None:
    found = look(job(), on_node(waiting=reason, waiting_message=message))
    assert (found.state, found.category) == ("pending", category)
    assert found.clock is not None


def test_a_permanent_pull_error_has_a_shorter_grace_than_a_passing_one() -> None:
    permanent = look(job(), on_node(waiting="ErrImagePull", waiting_message="manifest unknown")).clock
    transient = look(job(), on_node(waiting="ErrImagePull", waiting_message="429 Too Many Requests")).clock
    assert permanent is not None
    assert transient is not None
    assert 0 < permanent.seconds < transient.seconds


def test_a_back_off_keeps_the_pull_errors_own_words() -> None:
    first = on_node(waiting="ErrImagePull", waiting_message="manifest unknown: no such tag in the registry")
    later = keep_pull_error(first, on_node(waiting="ImagePullBackOff", waiting_message='Back-off pulling image "x"'))
    assert look(job(), later).category == "image"


def test_a_job_without_a_pod_is_explained_by_its_events() -> None:
    warning = WarningEvent("FailedCreate", 'pods "x" is forbidden: exceeded quota: gpus', NOW - 5)
    assert look(job(), warnings={job().name: warning}).category == "quota"
    warning = WarningEvent("FailedCreate", 'pods "x" is forbidden: violates PodSecurity "restricted"', NOW - 5)
    assert look(job(), warnings={job().name: warning}).category == "refused"


def test_a_volume_that_can_not_be_mounted_is_a_configuration_to_correct() -> None:
    warning = WarningEvent("FailedMount", 'MountVolume.SetUp failed: configmap "x" not found', NOW - 5)
    assert look(job(), on_node(waiting="ContainerCreating"), warnings={"pod-1": warning}).category == "config"


def test_a_suspended_job_waits_for_its_queue_with_the_workloads_words() -> None:
    queued = job(suspended=True, started=0.0, queued=Condition("JobSuspended", "", NOW - 20))
    options = make_options(queue="team-a")
    found = observe([queued], [], options, NOW, queue_reason="insufficient quota for nvidia.com/gpu")
    assert (found.state, found.category) == ("pending", "queue")
    assert found.reason == "insufficient quota for nvidia.com/gpu"


def test_a_given_up_job_says_so_whatever_its_pods_do() -> None:
    found = look(job(verdict="image: manifest unknown"), on_node(phase="Running"))
    assert (found.state, found.category, found.reason, found.final) == ("failed", "image", "manifest unknown", True)


def test_what_vanished_is_a_state_and_what_was_never_created_another() -> None:
    gone = observe([], [], OPTIONS, NOW, created=True)
    assert (gone.state, gone.category, gone.final) == ("interrupted", "vanished", True)
    new = observe([], [], OPTIONS, NOW, planned=NOW - 5)
    assert (new.state, new.final) == ("pending", False)


def test_the_latest_try_decides() -> None:
    first = job(failed=by_policy(137))
    second = replace(job(), name="try-1", ordinal=1)
    running = on_node(name="pod-2", job_name="try-1", phase="Running", running_since=NOW - 5)
    found = observe([first, second], [ended(137), running], OPTIONS, NOW)
    assert (found.state, found.attempts) == ("running", 2)


@pytest.mark.parametrize(
    ("reason", "message", "category"),
    [
        ("Evicted", "The node was low on resource: ephemeral-storage", "evicted"),
        ("NodeLost", "node is gone", "node-lost"),
        ("UnexpectedAdmissionError", "Allocate failed due to no healthy devices present", "no-accelerator"),
        ("UnexpectedAdmissionError", "something else", "node-lost"),
        ("OutOfcpu", "Node didn't have enough resource: cpu", "node-lost"),
        ("DeadlineExceeded", "Pod was active on the node longer than the specified deadline", "deadline"),
    ],
)
def test_a_pod_that_ended_without_an_exit_code_says_why_itself(reason: str, message: str, category: str) -> None:
    lost = ended(0, exit_code=None, exit_reason="", reason=reason, message=message)
    assert look(job(failed=FAILED), lost).category == category


def test_the_trainers_last_line_is_the_reason() -> None:
    message = 'epoch 3 {"loss": 1}\nerror: BTCUSDT has 12 bars of the 4320 it needs; choose an earlier --start'
    found = look(job(failed=by_policy(10)), ended(10, exit_message=message))
    assert found.reason.startswith("BTCUSDT has 12 bars")


def test_a_containers_last_words_keep_their_lines() -> None:
    ended = {"terminated": {"exitCode": 10, "message": "epoch 3\nerror: BTCUSDT has 12 bars\n"}}
    body = {
        "metadata": {"name": "p", "creationTimestamp": "2026-11-01T12:00:00Z"},
        "spec": {},
        "status": {"phase": "Failed", "containerStatuses": [{"name": "trainer", "state": ended}]},
    }
    assert diagnose_ended(read_pod(body)).reason == "BTCUSDT has 12 bars"


STATES = {
    "not created": ([], []),
    "waits for its pod": ([job()], []),
    "suspended": ([job(suspended=True)], []),
    "unscheduled": ([job()], [pod(unscheduled=Condition("Unschedulable", "x", NOW))]),
    "unseen by the scheduler": ([job()], [pod()]),
    "pulling": ([job()], [on_node(waiting="ContainerCreating")]),
    "image": ([job()], [on_node(waiting="ErrImagePull", waiting_message="manifest unknown")]),
    "running": ([job()], [on_node(phase="Running")]),
    "unknown": ([job()], [on_node(phase="Unknown")]),
    "stopping": ([job()], [on_node(phase="Running", deleted=NOW)]),
    "disrupted": ([job()], [ended(143, disrupted=Condition("x", "y", NOW))]),
    "between two tries": ([job()], [ended(75)]),
    "failing": ([job(failing=FAILED)], [on_node(phase="Running", deleted=NOW)]),
    "settling": ([job(failed=by_policy(137))], [ended(137, ended=NOW - 1)]),
    "being deleted": ([job(deleted=NOW)], []),
}


@pytest.mark.parametrize("name", list(STATES))
def test_every_state_that_is_not_final_has_a_budget_that_ends(name: str) -> None:
    jobs, pods = STATES[name]
    found = observe(jobs, pods, OPTIONS, NOW, planned=NOW)
    assert not found.final
    assert found.clock is not None
    again = observe(jobs, pods, OPTIONS, NOW + 2e5, planned=NOW)
    assert again.final or (again.clock is not None and again.clock.is_over(NOW + 2e5))


def test_an_unreachable_node_is_waited_for_as_long_as_requested() -> None:
    taken = Condition("DeletionByTaintManager", "", NOW - 20)
    evicted = on_node(phase="Running", deleted=NOW + 100, grace=120.0, disrupted=taken)  # evicted 20 s ago
    usual = observe([job()], [evicted], OPTIONS, NOW)
    configured = observe([job()], [evicted], OPTIONS.model_copy(update={"node_loss_seconds": 30}), NOW)
    assert (usual.category, configured.category) == ("node-lost", "node-lost")
    assert usual.clock is not None
    assert configured.clock is not None
    assert (usual.clock.is_over(NOW), configured.clock.is_over(NOW)) == (False, True)
