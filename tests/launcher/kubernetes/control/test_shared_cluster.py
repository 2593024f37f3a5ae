"""What a platform team looks at, on the fake and on a real cluster: memory, spot nodes, lost nodes, leaving."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from atb.errors import SpecError
from launcher.kubernetes.api import requests
from launcher.kubernetes.cleanup import cancel_run, clean_namespace
from launcher.kubernetes.control.prepare import prepare
from launcher.kubernetes.objects.ensure import delete_object
from launcher.kubernetes.objects.jobs import JobAttempt
from launcher.kubernetes.why import say_pod
from tests.launcher.fixtures import ClusterFixture, commit, make_options, make_plan, running
from tests.launcher.kubernetes.control.live import FOREVER, jobs_of, pods_of, started, until

pytestmark = pytest.mark.cluster


def raw_pod(testbed: ClusterFixture) -> dict[str, Any]:
    """The one Pod of the run, as the server has it."""
    (pod,) = until(lambda: pods_of(testbed))
    found: dict[str, Any] = testbed.cluster.send(requests.get("pods", testbed.cluster.namespace, pod.name))
    return found


def test_a_container_that_outgrows_its_memory_says_how_much_it_had_and_that_the_cap_is_reached(
    testbed: ClusterFixture,
) -> None:
    # one line without an end is held whole; the fake has no kernel of its own to do the killing
    script = "exec tail /dev/zero" if testbed.server is None else "exit 137"
    options = make_options(memory="64Mi", max_memory="96Mi")
    found = testbed.run_controller(make_plan("BTCUSDT"), options, build=running(script)).run("create")["BTCUSDT-fast"]
    assert (found.state, found.category, found.attempts) == ("failed", "oom", 2)
    assert found.reason.endswith("it had 96Mi, and max_memory is 96Mi")
    if testbed.server is None:
        assert found.reason.startswith("the kernel killed it for using too much memory")


def test_a_job_that_finds_no_spot_node_gets_one_on_demand(testbed: ClusterFixture) -> None:
    seen: list[bool] = []
    plan, options = make_plan("BTCUSDT"), testbed.hurried(spot="atb-test/pool=spot", on_demand_after=1)

    def script(planned: Any, attempt: JobAttempt) -> str:
        seen.append(attempt.on_demand)
        if attempt.on_demand:
            commit(testbed.store, plan.run, planned)
        return "exit 0"

    found = testbed.run_controller(plan, options, build=running(script)).run("create")["BTCUSDT-fast"]
    assert (found.state, seen) == ("done", [False, True])


def test_a_lost_node_is_given_up_as_soon_as_was_asked_for(testbed: ClusterFixture) -> None:
    options = make_options(node_loss_seconds=45)
    testbed.run_controller(make_plan("BTCUSDT"), options, build=running(FOREVER)).run("create", wait=False)
    until(lambda: started(testbed))
    tolerations = raw_pod(testbed)["spec"]["tolerations"]
    seconds = {one["key"]: one["tolerationSeconds"] for one in tolerations if "tolerationSeconds" in one}
    assert seconds == dict.fromkeys(("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"), 45)


def test_a_run_that_has_ended_is_not_cancelled_and_cleaning_leaves_nothing(testbed: ClusterFixture) -> None:
    plan = make_plan("BTCUSDT")
    commit(testbed.store, plan.run, plan.jobs[0])
    testbed.run_controller(plan, build=running("exit 0")).run("create")
    assert cancel_run(testbed.cluster, plan.run, _refuse).startswith("run run-1 has ended: no Job of it is left")
    prepare(testbed.cluster, testbed.store, make_plan("ETHUSDT", run="run-2"), make_options(), "create", wait=True)
    assert clean_namespace(testbed.cluster, force=False).startswith("removed 2 runs")
    until(lambda: not jobs_of(testbed) and not pods_of(testbed))


def test_why_tells_a_pod_that_is_ending_from_one_that_runs(testbed: ClusterFixture) -> None:
    options, script = make_options(termination_grace_seconds=30), "trap '' TERM; while true; do sleep 1; done"
    testbed.run_controller(make_plan("BTCUSDT"), options, build=running(script)).run("create", wait=False)
    pod = until(lambda: started(testbed))
    assert say_pod(pod) == f"{pod.name} on {pod.node} running"
    assert say_pod(replace(pod, deleted=1.0)) == f"{pod.name} on {pod.node} terminating"
    if testbed.server is None:  # the fake's Pods are gone at once
        delete_object(testbed.cluster, "jobs", pod.job_name)
        until(lambda: [say_pod(one) for one in pods_of(testbed)] == [f"{pod.name} on {pod.node} terminating"])


def test_live_jobs_are_cleaned_only_by_force(testbed: ClusterFixture) -> None:
    testbed.run_controller(make_plan("BTCUSDT"), build=running(FOREVER)).run("create", wait=False)
    until(lambda: started(testbed))
    with pytest.raises(SpecError, match=r"1 Jobs in .* are live"):
        clean_namespace(testbed.cluster, force=False)
    clean_namespace(testbed.cluster, force=True)
    until(lambda: not jobs_of(testbed) and not pods_of(testbed))


def _refuse(question: str) -> None:
    raise AssertionError(f"asked: {question}")
