"""How calls are sent: what is tried again, what is not, how bytes are read. The server misbehaves on request."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

from atb.contract import labels
from atb.errors import SpecError
from atb.storage import MemoryStore
from launcher.kubernetes.api import requests
from launcher.kubernetes.api.client import Cluster
from launcher.kubernetes.api.connect import open_cluster
from launcher.kubernetes.api.requests import ApiError
from launcher.kubernetes.api.responses import split_lines
from launcher.kubernetes.backend import KubernetesBackend
from launcher.kubernetes.control.actions import Create
from launcher.kubernetes.control.perform import Performer
from launcher.kubernetes.objects.ensure import create_job, create_owner, delete_object, give_up_job
from launcher.kubernetes.objects.jobs import build_job
from launcher.kubernetes.objects.pod import Target
from tests.apiserver.http import ApiServer
from tests.launcher.fixtures import connect, make_options, make_plan, make_try

TARGET = Target("run-1", "s3://b")
JOBS = r"/jobs"


def job_body(symbol: str = "BTCUSDT", **changes: str) -> dict[str, object]:
    body = build_job(make_plan(symbol).jobs[0], TARGET, make_options(), make_try())
    body["metadata"]["annotations"].update(changes)
    return body


@pytest.mark.parametrize("status", [429, 500, 503, 504])
def test_a_post_is_tried_again_after_what_may_pass(server: ApiServer, cluster: Cluster, status: int) -> None:
    server.fail("POST", JOBS, status, times=2)
    assert create_job(cluster, job_body()).job == "BTCUSDT-fast"
    assert len(server.seen("POST", JOBS)) == 3


def test_retry_after_is_honoured_and_reported(server: ApiServer, tmp_path: Path) -> None:
    waits: list[float] = []
    cluster = connect(server, tmp_path, waits.append)
    messages: list[str] = []
    cluster.on_wait = messages.append
    for wait in ("3", "1.5", "0"):
        server.fail("POST", JOBS, 429, headers={"Retry-After": wait})
    create_job(cluster, job_body())
    assert waits == [3.0, 1.5, 0.25]
    assert "429" in messages[0]
    assert messages[-1] == "the API server answers again"
    cluster.close()


@pytest.mark.parametrize("workers", [None, 1])
def test_a_launcher_that_waits_for_the_server_ends_on_a_signal(
    server: ApiServer, tmp_path: Path, workers: int | None
) -> None:
    sent: list[int] = []

    def interrupt(_: float) -> None:
        sent.append(signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)

    cluster = connect(server, tmp_path, interrupt)
    server.fail("GET", "", 503, times=100)
    backend, store = KubernetesBackend(cluster, make_options(workers=workers)), MemoryStore()
    assert backend.run(make_plan("BTCUSDT"), store, lambda rows, note: None, mode="attach") == signal.SIGTERM
    assert len(sent) == 1
    cluster.close()


def test_a_launcher_that_hears_nothing_from_the_server_ends_on_a_signal(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(30)
        server = ApiServer()
        config = server.kubeconfig(tmp_path, "lab")
        config.write_text(config.read_text().replace(str(server.port), str(silent.getsockname()[1])))
        server.stop()
        backend = KubernetesBackend(open_cluster(str(config)), make_options())

        def interrupt() -> None:
            with silent.accept()[0] as connection:
                connection.recv(1)  # the request has been sent
                os.kill(os.getpid(), signal.SIGTERM)
                connection.recv(1 << 16)

        threading.Thread(target=interrupt, daemon=True).start()
        began = time.monotonic()
        plan = make_plan("BTCUSDT")
        assert backend.run(plan, MemoryStore(), lambda rows, note: None, mode="attach") == signal.SIGTERM
        assert time.monotonic() - began < 25  # a read may take 30


def test_an_unclear_500_after_the_job_was_made_makes_no_second_one(server: ApiServer, cluster: Cluster) -> None:
    server.fail("POST", JOBS, 500, after=True)
    facts = create_job(cluster, job_body())
    assert len(server.state.items("jobs", "lab")) == 1
    assert facts.uid == server.state.items("jobs", "lab")[0]["metadata"]["uid"]


def test_a_connection_broken_after_the_job_was_made_makes_no_second_one(server: ApiServer, cluster: Cluster) -> None:
    server.fail("POST", JOBS, 0, after=True)
    create_job(cluster, job_body())
    assert len(server.state.items("jobs", "lab")) == 1


@pytest.mark.parametrize("status", [400, 403, 422])
def test_what_can_not_pass_is_not_tried_again(server: ApiServer, cluster: Cluster, status: int) -> None:
    server.fail("POST", JOBS, status, message="no such luck")
    with pytest.raises(ApiError, match="no such luck") as caught:
        create_job(cluster, job_body())
    assert caught.value.status == status
    assert len(server.seen("POST", JOBS)) == 1


def test_a_patch_that_others_overtook_is_sent_again(server: ApiServer, cluster: Cluster) -> None:
    facts = create_job(cluster, job_body())
    server.fail("PATCH", JOBS, 409, message="the object has been modified")
    give_up_job(cluster, facts, "image", "manifest unknown")
    assert server.state.get("jobs", "lab", facts.name)["spec"]["activeDeadlineSeconds"] == 1


def test_a_quota_that_two_requests_wrote_at_once_is_no_conflict(server: ApiServer, cluster: Cluster) -> None:
    server.fail("POST", JOBS, 409, message="Operation cannot be fulfilled on resourcequotas")
    assert create_job(cluster, job_body()).name


def test_creating_twice_is_one_job(server: ApiServer, cluster: Cluster) -> None:
    assert create_job(cluster, job_body()).uid == create_job(cluster, job_body()).uid


def test_a_job_of_that_name_with_another_spec_is_an_error_that_names_both(cluster: Cluster) -> None:
    create_job(cluster, job_body(**{labels.SPEC_ANNOTATION: "a" * 64}))
    with pytest.raises(SpecError, match=r"aaaaaaaa.*bbbbbbbb"):
        create_job(cluster, job_body(**{labels.SPEC_ANNOTATION: "b" * 64}))


def test_a_job_that_is_being_deleted_is_waited_for(server: ApiServer, tmp_path: Path) -> None:
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            server.state.remove("jobs", "lab", old.name)

    cluster = connect(server, tmp_path, pause)
    old = create_job(cluster, job_body())
    going = {"deletionTimestamp": "2026-11-01T12:00:00Z"}
    server.state.touch("jobs", server.state.get("jobs", "lab", old.name), going)
    assert create_job(cluster, job_body()).uid != old.uid
    assert len(pauses) == 3
    cluster.close()


def test_a_run_that_is_there_with_another_store_is_an_error(cluster: Cluster) -> None:
    create_owner(cluster, TARGET)
    with pytest.raises(SpecError, match="s3://b"):
        create_owner(cluster, Target("run-1", "s3://other"))


def test_an_unknown_field_is_refused_by_the_server(cluster: Cluster) -> None:
    body = job_body()
    body["spec"]["paralelism"] = 1  # type: ignore[index]
    with pytest.raises(ApiError, match=r"spec\.paralelism") as caught:
        cluster.send(requests.create("jobs", "lab", body, dry_run=True))
    assert caught.value.status == 400


def test_a_dry_run_leaves_nothing_behind(server: ApiServer, cluster: Cluster) -> None:
    cluster.send(requests.create("jobs", "lab", job_body(), dry_run=True))
    assert server.state.items("jobs", "lab") == []


def test_expired_credentials_are_read_anew_once(server: ApiServer, tmp_path: Path) -> None:
    cluster = connect(server, tmp_path)
    server.tokens = {"two"}
    server.kubeconfig(tmp_path, "lab")
    assert create_job(cluster, job_body()).name
    server.tokens = {"three"}  # the kubeconfig still says two
    with pytest.raises(ApiError) as caught:
        create_job(cluster, job_body())
    assert caught.value.status == 401
    cluster.close()


def test_a_login_that_has_expired_says_nothing_of_the_job(server: ApiServer, tmp_path: Path) -> None:
    plan, kubeconfig = make_plan("BTCUSDT"), server.kubeconfig(tmp_path, "lab")
    cluster = open_cluster(str(kubeconfig), retry_seconds=0)
    performer = Performer(cluster, MemoryStore(), plan, make_options(), TARGET)
    server.tokens = {"two"}
    assert performer.perform(Create("BTCUSDT-fast", make_try())).category == "unavailable"  # as in the file
    kubeconfig.write_text("{}")  # and where the file can't be read at this moment
    assert performer.perform(Create("BTCUSDT-fast", make_try())).category == "unavailable"
    cluster.close()


def test_a_list_is_read_page_by_page(server: ApiServer, cluster: Cluster) -> None:
    for number in range(1101):
        server.state.create("configmaps", "lab", {"metadata": {"name": f"c{number}"}})
    found, version = cluster.list("configmaps", lambda item: item["metadata"]["uid"])
    assert len(found) == 1101
    assert version == str(server.state.version)
    assert len(server.seen("GET", "/configmaps")) == 3


def test_a_list_whose_token_has_expired_begins_anew(server: ApiServer, cluster: Cluster) -> None:
    for number in range(600):
        server.state.create("configmaps", "lab", {"metadata": {"name": f"c{number}"}})
    read = 0

    def keep(item: dict[str, object]) -> int:
        nonlocal read
        read += 1
        if read == 10:
            server.state.create("configmaps", "lab", {"metadata": {"name": "late"}})
            server.state.compact()
        return 1

    found, _ = cluster.list("configmaps", keep)
    assert len(found) == 601


def test_logs_are_read_as_bytes_and_a_bad_one_does_not_end_them(server: ApiServer, cluster: Cluster) -> None:
    server.state.create("pods", "lab", {"metadata": {"name": "p"}, "spec": {"containers": []}})
    server.logs["p"] = lambda since, follow, tail: iter([b"one\n", b"tw\xff\xfeo\nthr", b"ee"])
    with cluster.stream(requests.pod_log("lab", "p", "trainer")) as chunks:
        lines = [line.decode("utf-8", "replace") for line in split_lines(chunks)]
    assert lines == ["one", "tw\ufffd\ufffdo", "three"]


def test_deleting_a_job_takes_its_pods_along(server: ApiServer, cluster: Cluster) -> None:
    facts = create_job(cluster, job_body())
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": facts.name, "uid": facts.uid}
    pod = {"metadata": {"name": "p", "ownerReferences": [owner]}, "spec": {"containers": []}}
    server.state.create("pods", "lab", pod)
    assert delete_object(cluster, "jobs", facts.name)
    assert server.state.items("pods", "lab") == []
    assert not delete_object(cluster, "jobs", facts.name)


def test_deleting_the_owner_takes_the_whole_run_along(server: ApiServer, cluster: Cluster) -> None:
    owner = create_owner(cluster, TARGET)
    target = Target(TARGET.run, TARGET.store, owner_uid=owner["metadata"]["uid"])
    for planned in make_plan("BTCUSDT", "ETHUSDT").jobs:
        create_job(cluster, build_job(planned, target, make_options(), make_try()))
    delete_object(cluster, "configmaps", owner["metadata"]["name"])
    assert server.state.items("jobs", "lab") == []


def test_a_secret_is_looked_for_without_its_values(server: ApiServer, cluster: Cluster) -> None:
    server.state.create("secrets", "lab", {"metadata": {"name": "keys"}, "data": {"k": "cGxhbnRlZA=="}})
    assert "data" not in cluster.send(requests.get("secrets", "lab", "keys", metadata_only=True))


def test_the_servers_clock_is_the_one_that_counts(server: ApiServer, cluster: Cluster) -> None:
    server.clock_skew = 3600
    cluster.send(requests.who_am_i())
    assert cluster.now() == pytest.approx(time.time() + 3600, abs=5)
