"""Whole fan-outs whose Pods run a script in `sh`. All of these hold on the fake and on a real cluster, where the real
scheduler, Job controller, kubelet and garbage collector write every status."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
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
from launcher.kubernetes.logs import find_pods, follow_log, read_log
from launcher.kubernetes.objects.ensure import (
    create_job,
    create_owner,
    delete_object,
    find_owner,
    give_up_job,
    mark_owner,
    sweep_owners,
)
from launcher.kubernetes.objects.job_status import PodStatus, read_job
from launcher.kubernetes.objects.jobs import JobAttempt, build_job, job_name, owner_name, run_selector
from launcher.kubernetes.objects.pod import Target
from launcher.kubernetes.preflight.checks import check_all
from tests.launcher.world import World, commit, make_options, make_plan, make_try, running

pytestmark = pytest.mark.cluster

FOREVER = "trap 'exit 143' TERM; while true; do sleep 1; done"


def until(condition: Callable[[], Any], seconds: float = 150.0) -> Any:
    """Its value, as soon as it has one."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError("it did not happen")


def pods_of(world: World, run: str = "run-1") -> list[PodStatus]:
    return find_pods(world.cluster, run_selector(run))


def jobs_of(world: World, run: str = "run-1") -> dict[str, Any]:
    return world.cluster.list("jobs", read_job, selector=run_selector(run))[0]


def started(world: World, but: str = "") -> PodStatus | None:
    return next((pod for pod in pods_of(world) if pod.phase == "Running" and not pod.deleted and pod.name != but), None)


def test_a_run_ends_with_every_job_done_once_their_results_are_there(world: World) -> None:
    plan = make_plan("BTCUSDT", "ETHUSDT")
    for planned in plan.jobs:
        commit(world.store, plan.run, planned)
    found = world.fleet(plan, build=running("echo hello; exit 0")).run("create")
    assert {job: one.state for job, one in found.items()} == {"BTCUSDT-fast": "done", "ETHUSDT-fast": "done"}


def test_finished_jobs_make_room_in_a_quota_on_their_number(world: World) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "one"}}
    quota["spec"] = {"hard": {"count/jobs.batch": "1"}}
    world.cluster.send(requests.create("resourcequotas", world.cluster.namespace, quota))
    plan = make_plan("BTCUSDT", "ETHUSDT", "SOLUSDT")
    for planned in plan.jobs:
        commit(world.store, plan.run, planned)
        for name in ("log.txt", "exit.json"):
            world.store.put(keys.attempt(plan.run, planned.job, 1, name), b"")
    found = world.fleet(plan, build=running("exit 0")).run("create")
    assert {one.state for one in found.values()} == {"done"}
    until(lambda: not jobs_of(world))


def test_at_most_max_parallel_jobs_of_a_run_are_live_at_a_time(world: World) -> None:
    plan = make_plan("BTCUSDT", "ETHUSDT", "SOLUSDT")
    live: list[int] = []

    def script(planned: PlannedJob, attempt: JobAttempt) -> str:
        live.append(sum(job.live for job in jobs_of(world).values()))
        commit(world.store, plan.run, planned)
        return "exit 0"

    found = world.fleet(plan, make_options(max_parallel=1), build=running(script)).run("create")
    assert {one.state for one in found.values()} == {"done"}
    assert live == [0, 0, 0]


@pytest.mark.parametrize(("code", "category"), [(2, "bad-spec"), (10, "bad-data"), (20, "diverged"), (70, "bug")])
def test_a_permanent_exit_code_ends_a_job_at_its_first_attempt(world: World, code: int, category: str) -> None:
    plan = make_plan("BTCUSDT")
    found = world.fleet(plan, build=running(f"echo 'error: it went wrong' >&2; exit {code}")).run("create")
    assert found["BTCUSDT-fast"].category == category
    assert found["BTCUSDT-fast"].attempts == 1
    verdict = Verdict.from_bytes(world.store.get(keys.verdict(plan.run, "BTCUSDT-fast")), "verdict")
    assert verdict.category == category


def test_a_pod_that_ends_well_without_a_result_is_a_failure(world: World) -> None:
    found = world.fleet(make_plan("BTCUSDT"), build=running("exit 0")).run("create")
    assert (found["BTCUSDT-fast"].state, found["BTCUSDT-fast"].category) == ("failed", "no-result")


def test_a_killed_container_is_tried_again_with_half_as_much_more_memory(world: World) -> None:
    seen: list[str] = []

    def script(planned: PlannedJob, attempt: JobAttempt) -> str:
        seen.append(attempt.memory)
        return "exit 137" if attempt.ordinal == 0 else "exit 10"

    found = world.fleet(make_plan("BTCUSDT"), build=running(script)).run("create")["BTCUSDT-fast"]
    assert seen == ["64Mi", "96Mi"]
    assert (found.category, found.attempts) == ("bad-data", 2)


def test_the_server_takes_a_job_once_and_answers_the_second_time_with_the_first(world: World) -> None:
    owner = create_owner(world.cluster, Target("run-1", "s3://b"))
    target = Target("run-1", "s3://b", owner_uid=owner["metadata"]["uid"])
    body = running(FOREVER)(make_plan("BTC/USDT:USDT").jobs[0], target, make_options(), make_try(memory="64Mi"))
    assert create_job(world.cluster, body).uid == create_job(world.cluster, body).uid
    with pytest.raises(ApiError) as caught:
        world.cluster.send_once(requests.create("jobs", world.cluster.namespace, body))
    assert (caught.value.status, caught.value.reason) == (409, "AlreadyExists")


def test_the_server_checks_fields_strictly_and_a_dry_run_leaves_nothing(world: World) -> None:
    body = build_job(make_plan("BTCUSDT").jobs[0], Target("run-1", "s3://b"), make_options(), make_try())
    world.cluster.send(requests.create("jobs", world.cluster.namespace, body, dry_run=True))
    body["spec"]["paralelism"] = 1
    with pytest.raises(ApiError, match=r"spec\.paralelism") as caught:
        world.cluster.send(requests.create("jobs", world.cluster.namespace, body, dry_run=True))
    assert caught.value.status == 400
    assert jobs_of(world) == {}


def test_a_job_given_up_is_ended_by_its_controller_and_keeps_the_reason(world: World) -> None:
    world.fleet(make_plan("BTCUSDT"), build=running(FOREVER)).run("create", wait=False)
    until(lambda: started(world))
    (facts,) = jobs_of(world).values()
    give_up_job(world.cluster, facts, "image", "manifest unknown")
    until(lambda: (failed := jobs_of(world)[facts.name].failed) and failed.reason == "DeadlineExceeded")
    until(lambda: started(world) is None)
    found = world.fleet(make_plan("BTCUSDT")).run("attach")["BTCUSDT-fast"]
    assert (found.state, found.category, found.reason) == ("failed", "image", "manifest unknown")


def test_deleting_the_owner_removes_jobs_and_pods(world: World) -> None:
    world.fleet(make_plan("BTCUSDT", "ETHUSDT"), build=running(FOREVER)).run("create", wait=False)
    until(lambda: len(pods_of(world)) == 2)
    assert delete_object(world.cluster, "configmaps", owner_name("run-1"))
    until(lambda: not jobs_of(world) and not pods_of(world))


def test_the_owner_of_a_run_that_is_over_for_days_is_swept_and_no_other(world: World) -> None:
    for run, days in (("over", 3), ("busy", 3), ("fresh", 1), ("begun", 0)):
        owner = create_owner(world.cluster, Target(run, "s3://b"))
        if days:
            created = format_time(world.cluster.now() - days * 86_400)
            mark_owner(world.cluster, run, {labels.CREATED_ANNOTATION: created})
        if run == "busy":
            target = Target(run, "s3://b", owner_uid=owner["metadata"]["uid"])
            attempt = make_try(memory="64Mi")
            create_job(world.cluster, running(FOREVER)(make_plan("BTCUSDT").jobs[0], target, make_options(), attempt))
    sweep_owners(world.cluster)
    left = [run for run in ("over", "busy", "fresh", "begun") if find_owner(world.cluster, run)]
    assert left == ["busy", "fresh", "begun"]


def test_an_owner_that_is_marked_while_it_is_swept_stays(world: World) -> None:
    old = format_time(world.cluster.now() - 3 * 86_400)
    version = create_owner(world.cluster, Target("run-1", "s3://b"))["metadata"]["resourceVersion"]
    mark_owner(world.cluster, "run-1", {labels.CREATED_ANNOTATION: old})
    with pytest.raises(ApiError) as caught:
        world.cluster.send(requests.delete("configmaps", world.cluster.namespace, owner_name("run-1"), version=version))
    assert caught.value.status == 409


def test_deleting_a_job_removes_its_pods(world: World) -> None:
    world.fleet(make_plan("BTCUSDT"), build=running(FOREVER)).run("create", wait=False)
    until(lambda: started(world))
    assert delete_object(world.cluster, "jobs", job_name("run-1", "BTCUSDT-fast"))
    until(lambda: not pods_of(world))


def test_a_cancelled_run_ends_as_cancelled(world: World) -> None:
    world.fleet(make_plan("BTCUSDT"), build=running(FOREVER)).run("create", wait=False)
    until(lambda: started(world))
    mark_owner(world.cluster, "run-1", {labels.CANCELLED_ANNOTATION: "now"})
    delete_object(world.cluster, "jobs", job_name("run-1", "BTCUSDT-fast"))
    assert world.fleet(make_plan("BTCUSDT")).run("attach")["BTCUSDT-fast"].category == "cancelled"


def test_an_evicted_pod_is_replaced_and_costs_no_attempt(world: World) -> None:
    world.fleet(make_plan("BTCUSDT"), make_options(backoff_limit=0), build=running(FOREVER)).run("create", wait=False)
    first = until(lambda: started(world))
    path = requests.path_of("pods", world.cluster.namespace, first.name, "eviction")
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": first.name}}
    world.cluster.send(Call("POST", path, body=body))
    until(lambda: started(world, but=first.name))
    (job,) = jobs_of(world).values()
    assert job.live


def test_a_resumed_run_makes_a_second_job_for_what_failed(world: World) -> None:
    plan = make_plan("BTCUSDT", "ETHUSDT")
    commit(world.store, plan.run, plan.jobs[0])
    world.fleet(plan, build=running("exit 20")).run("create")
    commit(world.store, plan.run, plan.jobs[1])
    assert {one.state for one in world.fleet(plan, build=running("exit 0")).run("resume").values()} == {"done"}
    world.store.delete(keys.result(plan.run, "ETHUSDT-fast"))
    again = world.fleet(plan, build=running("exit 10")).run("resume")
    assert again["ETHUSDT-fast"].category == "bad-data"
    assert job_name(plan.run, "ETHUSDT-fast", 1) in jobs_of(world)


def test_a_pod_without_a_node_says_why_and_is_given_up_with_its_budget(world: World) -> None:
    options = world.hurried(node_selector={"atb-test/none": "here"})
    found = world.fleet(make_plan("BTCUSDT"), options, build=running("exit 0")).run("create")["BTCUSDT-fast"]
    assert (found.state, found.category) == ("failed", "affinity")
    assert "nodes are available" in found.reason


def test_an_image_that_can_not_be_had_is_given_up_with_its_budget(world: World) -> None:
    options = world.hurried(image="registry.invalid/atb:none")
    found = world.fleet(make_plan("BTCUSDT"), options, build=running("exit 0")).run("create")["BTCUSDT-fast"]
    assert found.state == "failed"
    # a real node may stand behind a proxy that refuses the name instead of not finding it
    assert found.category in ({"image-passing"} if world.server else {"image-passing", "image"})


def test_a_secret_that_is_missing_is_a_configuration_to_correct(world: World) -> None:
    options = world.hurried(env_from_secrets=("absent",))
    found = world.fleet(make_plan("BTCUSDT"), options, build=running("exit 0")).run("create")["BTCUSDT-fast"]
    assert (found.state, found.category) == ("failed", "config")
    assert "absent" in found.reason


def test_a_log_is_followed_to_its_last_line(world: World) -> None:
    script = "for i in 1 2 3; do echo line $i; sleep 0.3; done; printf 'bad \\377 byte\\n'; printf last"
    world.fleet(make_plan("BTCUSDT"), build=running(script)).run("create", wait=False)
    pod = until(lambda: next(iter(pods_of(world)), None))
    lines = ["line 1", "line 2", "line 3", "bad \ufffd byte", "last"]
    assert list(follow_log(world.cluster, pod.name)) == lines
    assert list(read_log(world.cluster, pod.name)) == lines


def test_a_watch_tells_what_is_made_changed_and_removed(world: World) -> None:
    received: list[Any] = []
    stopping = threading.Event()

    def watch() -> None:
        changes = follow(world.cluster, "configmaps", "atb-test=1", lambda item: item["data"]["v"], stopping)
        received.extend(change for change in changes if not isinstance(change, Heartbeat))

    threading.Thread(target=watch, daemon=True).start()
    until(lambda: received)
    assert received == [Listed({})]
    meta = {"name": "seen", "labels": {"atb-test": "1"}}
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"v": "1"}}
    namespace = world.cluster.namespace
    world.cluster.send(requests.create("configmaps", namespace, body))
    world.cluster.send(requests.patch("configmaps", namespace, "seen", {"data": {"v": "2"}}))
    delete_object(world.cluster, "configmaps", "seen")
    until(lambda: len(received) == 4)
    stopping.set()
    assert received[1:] == [Changed("seen", "1"), Changed("seen", "2"), Deleted("seen")]


def test_a_preflight_finds_nothing_in_the_way_of_a_job_that_can_run(world: World) -> None:
    class Bucket(MemoryStore):
        url = "s3://models/atb"

    found = check_all(world.cluster, Bucket(), make_plan("BTCUSDT"), make_options())
    assert [check for check in found if check.level == "error"] == []
    assert {"cluster", "permissions", "namespace", "nodes", "dry run", "store"} <= {check.name for check in found}
