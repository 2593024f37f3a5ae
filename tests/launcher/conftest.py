"""A fake API server for each test, or a namespace of a real cluster."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.kubernetes.api import requests
from launcher.kubernetes.api.client import Cluster
from launcher.kubernetes.api.connect import open_cluster
from launcher.kubernetes.api.requests import Call
from tests.apiserver.controller import JobController
from tests.apiserver.http import ApiServer
from tests.apiserver.kubelet import Kubelet, add_node
from tests.launcher.fixtures import KUBECONFIG, ClusterFixture, connect


@pytest.fixture
def server() -> Iterator[ApiServer]:
    """An API server with the namespace ``lab`` and nothing that acts on its objects: the test plays the rest."""
    server = ApiServer()
    server.state.create("namespaces", "", {"metadata": {"name": "lab"}})
    yield server
    server.stop()
    assert not server.crashes, server.crashes[0]


@pytest.fixture
def cluster(server: ApiServer, tmp_path: Path) -> Iterator[Cluster]:
    """The real client on the fake server."""
    cluster = connect(server, tmp_path)
    yield cluster
    cluster.close()


@pytest.fixture
def fake(server: ApiServer, tmp_path: Path) -> Iterator[ClusterFixture]:
    """A fake cluster with a Job controller, a scheduler, a kubelet and two nodes."""
    add_node(server.state, "node-a")
    add_node(server.state, "node-b")
    controller = JobController(server.state, "lab").start()
    kubelet = Kubelet(server, "lab").start()
    cluster = connect(server, tmp_path)
    yield ClusterFixture(cluster, server=server, controller=controller, kubelet=kubelet)
    cluster.close()
    kubelet.stop()
    controller.stop()


@pytest.fixture
def testbed(request: pytest.FixtureRequest) -> Iterator[ClusterFixture]:
    """A cluster whose Pods run `sh`: the real one of ATB_TEST_KUBECONFIG, else the fake."""
    if KUBECONFIG is None:
        yield request.getfixturevalue("fake")
        return
    namespace = f"atb-test-{uuid.uuid4().hex[:8]}"
    cluster = open_cluster(KUBECONFIG, namespace=namespace)
    level = {"pod-security.kubernetes.io/enforce": "restricted"}
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": level}}
    cluster.send(requests.create("namespaces", "", body))
    try:
        _wait_for_service_account(cluster)
        yield ClusterFixture(cluster)
    finally:
        cluster.send(Call("DELETE", requests.path_of("namespaces", "", namespace)))
        cluster.close()


def _wait_for_service_account(cluster: Cluster) -> None:
    for _ in range(300):
        try:
            cluster.send(requests.get("serviceaccounts", cluster.namespace, "default"))
            return
        except requests.ApiError as error:
            if error.status != 404:
                raise
        time.sleep(0.1)
    raise AssertionError("the namespace got no default service account")
