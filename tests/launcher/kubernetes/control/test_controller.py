"""Whole fan-outs whose Pods run a script in `sh`. All of these hold on the fake and on a real cluster, where the real
scheduler, Job controller, kubelet and garbage collector write every status."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from atb.contract import keys, labels
from atb.documents.attempt import Verdict
from atb.documents.plan import PlannedJob
from atb.storage import MemoryStore
from launcher.kubernetes.api import requests
from launcher.kubernetes.api.informer import Changed, Deleted, Heartbeat, Listed, follow
from launcher.kubernetes.api.requests import ApiError, Call
from launcher.kubernetes.api.responses import format_time
from launcher.kubernetes.logs import follow_log, read_log
from launcher.kubernetes.objects.ensure import (
    create_job,
    create_owner,
    delete_object,
    find_owner,
    give_up_job,
    mark_owner,
    sweep_owners,
)
from launcher.kubernetes.objects.jobs import JobAttempt, build_job, job_name, owner_name
from launcher.kubernetes.objects.pod import Target
from launcher.kubernetes.preflight.checks import check_all
from tests.launcher.fixtures import ClusterFixture, commit, make_options, make_plan, make_try, running
from tests.launcher.kubernetes.control.live import FOREVER, jobs_of, pods_of, started, until

pytestmark = pytest.mark.cluster


def test_a_run_ends_with_every_job_done_once_their_results_are_there(testbed: ClusterFixture) -> None:
    plan = make_plan("BTCUSDT", "ETHUSDT")
    for planned in plan.jobs:
        commit(testbed.store, plan.run, planned)
    found = testbed.run_controller(plan, build=running("echo hello; exit 0")).run("create")
    assert {job: one.state for job, one in found.items()} == {"BTCUSDT-fast": "done", "ETHUSDT-fast": "done"}


def test_finished_jobs_make_room_in_a_quota_on_their_number(testbed: ClusterFixture) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "one"}}
    quota["spec"] = {"hard": {"count/jobs.batch": "1"}}
    testbed.cluster.send(requests.create("resourcequotas", testbed.cluster.namespace, quota))
    plan = make_plan("BTCUSDT", "ETHUSDT", "SOLUSDT")
    for planned in plan.jobs:
        commit(testbed.store, plan.run, planned)
        for name in ("log.txt", "exit.json"):
            testbed.store.put(keys.attempt(plan.run, planned.job, 1, name), b"")
    found = testbed.run_controller(plan, build=running("exit 0")).run("create")
    assert {one.state for one in found.values()} == {"done"}
    until(lambda: not jobs_of(testbed))


def test_at_most_max_parallel_jobs_of_a_run_are_there_at_a_time(testbed: ClusterFixture) -> None:
    plan = make_plan("BTCUSDT", "ETHUSDT", "SOLUSDT")
    there: list[int] = []

    def script(planned: PlannedJob, attempt: JobAttempt) -> str:
        there.append(len(jobs_of(testbed)))
        commit(testbed.store, plan.run, planned)
        for name in ("log.txt", "exit.json"):
            testbed.store.put(keys.attempt(plan.run, planned.job, 1, name), b"")
        return "exit 0"

    found = testbed.run_controller(plan, make_options(max_parallel=1), build=running(script)).run("create")
    assert {one.state for one in found.values()} == {"done"}
    assert there == [0, 0, 0]


@pytest.mark.parametrize(("code", "category"), [(2, "bad-spec"), (10, "bad-data"), (20, "diverged"), (70, "bug")])
def test_a_permanent_exit_code_ends_a_job_at_its_first_attempt(
    testbed: ClusterFixture, code: int, category: str
) -> None:
    plan = make_plan("BTCUSDT")
    found = testbed.run_controller(plan, build=running(f"echo 'error: it went wrong' >&2; exit {code}")).run("create")
    assert found["BTCUSDT-fast"].category == category
    assert found["BTCUSDT-fast"].attempts == 1
    verdict = Verdict.from_bytes(testbed.store.get(keys.verdict(plan.run, "BTCUSDT-fast")), "verdict")
    assert verdict.category == category


def test_a_pod_that_ends_well_without_a_result_is_a_failure(testbed: ClusterFixture) -> None:
    found = testbed.run_controller(make_plan("BTCUSDT"), build=running("exit 0")).run("create")
    assert (found["BTCUSDT-fast"].state, found["BTCUSDT-fast"].category) == ("failed", "no-result")


def test_a_killed_container_is_tried_again_with_half_as_much_more_memory(testbed: ClusterFixture) -> None:
    seen: list[str] = []

    def script(planned: PlannedJob, attempt: JobAttempt) -> str:
        seen.append(attempt.memory)
        return "exit 137" if attempt.ordinal == 0 else "exit 10"

    found = testbed.run_controller(make_plan("BTCUSDT"), build=running(script)).run("create")["BTCUSDT-fast"]
    assert seen == ["64Mi", "96Mi"]
    assert (found.category, found.attempts) == ("bad-data", 2)


def test_the_server_takes_a_job_once_and_answers_the_second_time_with_the_first(testbed: ClusterFixture) -> None:
    owner = create_owner(testbed.cluster, Target("run-1", "s3://b"))
    target = Target("run-1", "s3://b", owner_uid=owner["metadata"]["uid"])
    body = running(FOREVER)(make_plan("BTC/USDT:USDT").jobs[0], target, make_options(), make_try(memory="64Mi"))
    assert create_job(testbed.cluster, body).uid == create_job(testbed.cluster, body).uid
    with pytest.raises(ApiError) as caught:
        testbed.cluster.send_once(requests.create("jobs", testbed.cluster.namespace, body))
    assert (caught.value.status, caught.value.reason) == (409, "AlreadyExists")


def test_the_server_checks_fields_strictly_and_a_dry_run_leaves_nothing(testbed: ClusterFixture) -> None:
    body = build_job(make_plan("BTCUSDT").jobs[0], Target("run-1", "s3://b"), make_options(), make_try())
    testbed.cluster.send(requests.create("jobs", testbed.cluster.namespace, body, dry_run=True))
    body["spec"]["paralelism"] = 1
    with pytest.raises(ApiError, match=r"spec\.paralelism") as caught:
        testbed.cluster.send(requests.create("jobs", testbed.cluster.namespace, body, dry_run=True))
    assert caught.value.status == 400
    assert jobs_of(testbed) == {}


def test_a_job_given_up_is_ended_by_its_controller_and_keeps_the_reason(testbed: ClusterFixture) -> None:
    testbed.run_controller(make_plan("BTCUSDT"), build=running(FOREVER)).run("create", wait=False)
    until(lambda: started(testbed))
    (facts,) = jobs_of(testbed).values()
    give_up_job(testbed.cluster, facts, "image", "manifest unknown")
    until(lambda: (failed := jobs_of(testbed)[facts.name].failed) and failed.reason == "DeadlineExceeded")
    until(lambda: started(testbed) is None)
    found = testbed.run_controller(make_plan("BTCUSDT")).run("attach")["BTCUSDT-fast"]
    assert (found.state, found.category, found.reason) == ("failed", "image", "manifest unknown")


def test_deleting_the_owner_removes_jobs_and_pods(testbed: ClusterFixture) -> None:
    testbed.run_controller(make_plan("BTCUSDT", "ETHUSDT"), build=running(FOREVER)).run("create", wait=False)
    until(lambda: len(pods_of(testbed)) == 2)
    assert delete_object(testbed.cluster, "configmaps", owner_name("run-1"))
    until(lambda: not jobs_of(testbed) and not pods_of(testbed))


def test_the_owner_of_a_run_that_is_over_for_days_is_swept_and_no_other(testbed: ClusterFixture) -> None:
    for run, days in (("over", 3), ("busy", 3), ("fresh", 1), ("begun", 0)):
        owner = create_owner(testbed.cluster, Target(run, "s3://b"))
        if days:
            created = format_time(testbed.cluster.now() - days * 86_400)
            mark_owner(testbed.cluster, run, {labels.CREATED_ANNOTATION: created})
        if run == "busy":
            target = Target(run, "s3://b", owner_uid=owner["metadata"]["uid"])
            attempt = make_try(memory="64Mi")
            create_job(testbed.cluster, running(FOREVER)(make_plan("BTCUSDT").jobs[0], target, make_options(), attempt))
    sweep_owners(testbed.cluster)
    left = [run for run in ("over", "busy", "fresh", "begun") if find_owner(testbed.cluster, run)]
    assert left == ["busy", "fresh", "begun"]


def test_an_owner_that_is_marked_while_it_is_swept_stays(testbed: ClusterFixture) -> None:
    old = format_time(testbed.cluster.now() - 3 * 86_400)
    version = create_owner(testbed.cluster, Target("run-1", "s3://b"))["metadata"]["resourceVersion"]
    mark_owner(testbed.cluster, "run-1", {labels.CREATED_ANNOTATION: old})
    with pytest.raises(ApiError) as caught:
        testbed.cluster.send(
            requests.delete("configmaps", testbed.cluster.namespace, owner_name("run-1"), version=version)
        )
    assert caught.value.status == 409


def test_deleting_a_job_removes_its_pods(testbed: ClusterFixture) -> None:
    testbed.run_controller(make_plan("BTCUSDT"), build=running(FOREVER)).run("create", wait=False)
    until(lambda: started(testbed))
    assert delete_object(testbed.cluster, "jobs", job_name("run-1", "BTCUSDT-fast"))
    until(lambda: not pods_of(testbed))


def test_a_container_that_has_no_handler_yet_ends_at_once_with_its_job(testbed: ClusterFixture) -> None:
    """As in the first moment of a training: were it process 1, the kernel would drop the signal."""
    options = make_options(termination_grace_seconds=60)
    testbed.run_controller(make_plan("BTCUSDT"), options, build=running("exec sleep 600")).run("create", wait=False)
    until(lambda: started(testbed))
    delete_object(testbed.cluster, "jobs", job_name("run-1", "BTCUSDT-fast"))
    until(lambda: not pods_of(testbed), seconds=30)


def test_a_cancelled_run_ends_as_cancelled(testbed: ClusterFixture) -> None:
    testbed.run_controller(make_plan("BTCUSDT"), build=running(FOREVER)).run("create", wait=False)
    until(lambda: started(testbed))
    mark_owner(testbed.cluster, "run-1", {labels.CANCELLED_ANNOTATION: "now"})
    delete_object(testbed.cluster, "jobs", job_name("run-1", "BTCUSDT-fast"))
    assert testbed.run_controller(make_plan("BTCUSDT")).run("attach")["BTCUSDT-fast"].category == "cancelled"


def test_an_evicted_pod_is_replaced_and_costs_no_attempt(testbed: ClusterFixture) -> None:
    testbed.run_controller(make_plan("BTCUSDT"), make_options(backoff_limit=0), build=running(FOREVER)).run(
        "create", wait=False
    )
    first = until(lambda: started(testbed))
    path = requests.path_of("pods", testbed.cluster.namespace, first.name, "eviction")
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": first.name}}
    testbed.cluster.send(Call("POST", path, body=body))
    until(lambda: started(testbed, but=first.name))
    (job,) = jobs_of(testbed).values()
    assert job.live


def test_a_resumed_run_makes_a_second_job_for_what_failed(testbed: ClusterFixture) -> None:
    plan = make_plan("BTCUSDT", "ETHUSDT")
    commit(testbed.store, plan.run, plan.jobs[0])
    testbed.run_controller(plan, build=running("exit 20")).run("create")
    commit(testbed.store, plan.run, plan.jobs[1])
    assert {one.state for one in testbed.run_controller(plan, build=running("exit 0")).run("resume").values()} == {
        "done"
    }
    testbed.store.delete(keys.result(plan.run, "ETHUSDT-fast"))
    again = testbed.run_controller(plan, build=running("exit 10")).run("resume")
    assert again["ETHUSDT-fast"].category == "bad-data"
    assert job_name(plan.run, "ETHUSDT-fast", 1) in jobs_of(testbed)


def test_a_pod_without_a_node_says_why_and_is_given_up_with_its_budget(testbed: ClusterFixture) -> None:
    options = testbed.hurried(node_selector={"atb-test/none": "here"})
    found = testbed.run_controller(make_plan("BTCUSDT"), options, build=running("exit 0")).run("create")["BTCUSDT-fast"]
    assert (found.state, found.category) == ("failed", "affinity")
    assert "nodes are available" in found.reason


def test_an_unavailable_image_fails_the_job_once_its_budget_is_spent(testbed: ClusterFixture) -> None:
    options = testbed.hurried(image="registry.invalid/atb:none")
    found = testbed.run_controller(make_plan("BTCUSDT"), options, build=running("exit 0")).run("create")["BTCUSDT-fast"]
    assert found.state == "failed"
    # a real node may stand behind a proxy that refuses the name instead of not finding it
    assert found.category in ({"image-passing"} if testbed.server else {"image-passing", "image"})


def test_a_secret_that_is_missing_is_a_configuration_to_correct(testbed: ClusterFixture) -> None:
    options = testbed.hurried(env_from_secrets=("absent",))
    found = testbed.run_controller(make_plan("BTCUSDT"), options, build=running("exit 0")).run("create")["BTCUSDT-fast"]
    assert (found.state, found.category) == ("failed", "config")
    assert "absent" in found.reason


def test_a_log_is_followed_to_its_last_line(testbed: ClusterFixture) -> None:
    script = "for i in 1 2 3; do echo line $i; sleep 0.3; done; printf 'bad \\377 byte\\n'; printf last"
    testbed.run_controller(make_plan("BTCUSDT"), build=running(script)).run("create", wait=False)
    pod = until(lambda: next(iter(pods_of(testbed)), None))
    lines = ["line 1", "line 2", "line 3", "bad \ufffd byte", "last"]
    assert list(follow_log(testbed.cluster, pod.name)) == lines
    assert list(read_log(testbed.cluster, pod.name)) == lines


def test_a_watch_tells_what_is_made_changed_and_removed(testbed: ClusterFixture) -> None:
    received: list[Any] = []
    stopping = threading.Event()

    def watch() -> None:
        changes = follow(testbed.cluster, "configmaps", "atb-test=1", lambda item: item["data"]["v"], stopping)
        received.extend(change for change in changes if not isinstance(change, Heartbeat))

    threading.Thread(target=watch, daemon=True).start()
    until(lambda: received)
    assert received == [Listed({})]
    meta = {"name": "seen", "labels": {"atb-test": "1"}}
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"v": "1"}}
    namespace = testbed.cluster.namespace
    testbed.cluster.send(requests.create("configmaps", namespace, body))
    testbed.cluster.send(requests.patch("configmaps", namespace, "seen", {"data": {"v": "2"}}))
    delete_object(testbed.cluster, "configmaps", "seen")
    until(lambda: len(received) == 4)
    stopping.set()
    assert received[1:] == [Changed("seen", "1"), Changed("seen", "2"), Deleted("seen")]


def test_a_preflight_finds_nothing_in_the_way_of_a_job_that_can_run(testbed: ClusterFixture) -> None:
    class Bucket(MemoryStore):
        url = "s3://models/atb"

    found = check_all(testbed.cluster, Bucket(), make_plan("BTCUSDT"), make_options())
    assert [check for check in found if check.level == "error"] == []
    assert {"cluster", "permissions", "namespace", "nodes", "dry run", "store"} <= {check.name for check in found}
