"""A node that falls silent. Only a real cluster has the controllers that find it: ``make test-cluster``.

The node is a Node object whose kubelet this test plays, until it stops. The simulation loses nodes in the suite.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from launcher.kubernetes.api import requests
from launcher.kubernetes.api.requests import ApiError, Call
from launcher.kubernetes.api.responses import format_time
from launcher.kubernetes.objects.jobs import JobAttempt
from launcher.kubernetes.objects.pod import CONTAINER
from tests.launcher.fixtures import KUBECONFIG, ClusterFixture, commit, make_options, make_plan, running
from tests.launcher.kubernetes.control.live import pods_of, started, until

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(not KUBECONFIG, reason="needs a cluster: set ATB_TEST_KUBECONFIG"),
]


@pytest.fixture
def silent_node(testbed: ClusterFixture) -> Iterator[str]:
    """A node that is ready and has no kubelet, so that its controller misses it after its grace period."""
    name = f"atb-test-{uuid.uuid4().hex[:8]}"
    now = format_time(testbed.cluster.now())
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": ""}
    has = {"cpu": "1", "memory": "1Gi", "pods": "10"}
    body = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name},
        # other people's Pods keep off
        "spec": {"taints": [{"key": "atb-test", "effect": "NoSchedule"}]},
        "status": {
            "conditions": [{**ready, "lastHeartbeatTime": now, "lastTransitionTime": now}],
            "capacity": has,
            "allocatable": has,
        },
    }
    try:
        testbed.cluster.send(requests.create("nodes", "", body))
    except ApiError as error:
        if error.status != 403:
            raise
        pytest.skip("needs the right to create nodes")
    try:
        yield name
    finally:
        testbed.cluster.send(Call("DELETE", requests.path_of("nodes", "", name)))


def set_running(testbed: ClusterFixture, pod: str) -> None:
    """Say what the node's kubelet would about a Pod."""
    now = format_time(testbed.cluster.now())
    container = {
        "name": CONTAINER,
        "image": "none",
        "imageID": "none",
        "ready": True,
        "restartCount": 0,
        "state": {"running": {"startedAt": now}},
    }
    status = {"phase": "Running", "startTime": now, "containerStatuses": [container]}
    path = requests.path_of("pods", testbed.cluster.namespace, pod, "status")
    testbed.cluster.send(Call("PATCH", path, body={"status": status}, content_type=requests.MERGE_PATCH))


def test_a_job_runs_again_elsewhere_within_two_minutes_of_its_nodes_last_sign(
    testbed: ClusterFixture, silent_node: str
) -> None:
    plan = make_plan("BTCUSDT")

    def script(planned: Any, attempt: JobAttempt) -> str:
        if attempt.ordinal:
            commit(testbed.store, plan.run, planned)
        return "exit 0"

    def build(planned: Any, target: Any, options: Any, attempt: JobAttempt) -> dict[str, Any]:
        body = running(script)(planned, target, options, attempt)
        if attempt.ordinal == 0:
            body["spec"]["template"]["spec"]["nodeName"] = silent_node
        return body

    controller = testbed.run_controller(plan, make_options(node_loss_seconds=20), build=build)
    found: dict[str, Any] = {}
    thread = threading.Thread(target=lambda: found.update(controller.run("create")), daemon=True)
    thread.start()
    set_running(testbed, until(lambda: pods_of(testbed))[0].name)
    began = time.monotonic()
    until(lambda: started(testbed))
    thread.join(240)
    assert time.monotonic() - began < 120
    job = found["BTCUSDT-fast"]
    assert (job.state, job.attempts) == ("done", 2)
    assert job.node != silent_node
