"""Following a log: streams break, fall silent and repeat themselves; the test plays the kubelet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from atb.contract import keys, labels
from atb.storage import MemoryStore
from launcher.kubernetes.api.client import Cluster
from launcher.kubernetes.api.requests import ApiError
from launcher.kubernetes.logs import follow_log, read_log, stored_log
from launcher.kubernetes.print_logs import print_logs
from tests.apiserver.http import ApiServer
from tests.apiserver.kubelet import set_running, set_terminated, set_waiting
from tests.launcher.fixtures import connect, make_plan

LINES = [f"2026-11-01T12:00:0{i // 2}.{(i % 2) * 5}Z line {i}\n".encode() for i in range(8)]


@pytest.fixture
def pod(server: ApiServer) -> str:
    server.state.create(
        "pods", "lab", {"metadata": {"name": "p"}, "spec": {"nodeName": "n", "containers": [{"name": "trainer"}]}}
    )
    set_running(server.state, server.state.get("pods", "lab", "p"))
    return "p"


def finish(server: ApiServer) -> None:
    set_terminated(server.state, server.state.get("pods", "lab", "p"), 0)


def test_a_stream_that_breaks_goes_on_without_losing_or_repeating_a_line(
    server: ApiServer, cluster: Cluster, pod: str
) -> None:
    calls: list[str] = []

    def log(since: str, follow: bool, tail: int | None) -> Iterator[bytes | None]:
        calls.append(since)
        start = {1: 0, 2: 2, 3: 6}.get(len(calls), 8)
        yield from LINES[start : start + 5]
        if len(calls) < 3:
            yield None  # the connection breaks
        finish(server)

    server.logs["p"] = log
    assert list(follow_log(cluster, pod, sleep=lambda _: None)) == [f"line {i}" for i in range(8)]
    assert calls[1] == "2026-11-01T12:00:02Z"


def test_a_stream_that_ends_while_the_container_runs_is_opened_again(
    server: ApiServer, cluster: Cluster, pod: str
) -> None:
    rounds = 0

    def log(since: str, follow: bool, tail: int | None) -> Iterator[bytes]:
        nonlocal rounds
        rounds += 1
        if rounds == 3:
            finish(server)
        yield from LINES[:rounds]

    server.logs["p"] = log
    assert list(follow_log(cluster, pod, sleep=lambda _: None)) == ["line 0", "line 1", "line 2", "line 3"]


def test_lines_of_one_instant_are_all_kept(server: ApiServer, cluster: Cluster, pod: str) -> None:
    same = [b"2026-11-01T12:00:00Z same\n"] * 3
    rounds = 0

    def log(since: str, follow: bool, tail: int | None) -> Iterator[bytes]:
        nonlocal rounds
        rounds += 1
        if rounds == 2:
            finish(server)
        yield from same[:2] if rounds == 1 else same

    server.logs["p"] = log
    assert list(follow_log(cluster, pod, sleep=lambda _: None)) == ["same"] * 3


def test_a_container_that_has_not_started_is_waited_for(server: ApiServer, tmp_path: Path) -> None:
    server.state.create("pods", "lab", {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "trainer"}]}})
    set_waiting(server.state, server.state.get("pods", "lab", "p"), "ContainerCreating")

    def start(_: float) -> None:
        server.logs["p"] = lambda since, follow, tail: iter(LINES[:1])
        finish(server)

    cluster = connect(server, tmp_path)
    assert list(follow_log(cluster, "p", sleep=start)) == ["line 0"]
    cluster.close()


def test_a_pod_that_goes_ends_its_log(server: ApiServer, cluster: Cluster, pod: str) -> None:
    server.logs["p"] = lambda since, follow, tail: iter(LINES[:1])
    lines = follow_log(cluster, pod, sleep=lambda _: server.state.remove("pods", "lab", "p"))
    assert list(lines) == ["line 0"]


def test_bad_bytes_are_replaced_and_secrets_hidden(server: ApiServer, cluster: Cluster, pod: str) -> None:
    line = b"2026-11-01T12:00:00Z \xff key AKIAIOSFODNN7EXAMPLE\n"
    server.logs["p"] = lambda since, follow, tail: iter([line])
    assert list(read_log(cluster, pod)) == ["\ufffd key [redacted]"]


def test_the_store_has_the_last_attempts_tail_when_the_pod_is_gone() -> None:
    store = MemoryStore()
    store.put(keys.attempt("r", "BTCUSDT-fast", 2, "log.txt"), b"second\n")
    store.put(keys.attempt("r", "BTCUSDT-fast", 10, "log.txt"), b"tenth\xff\n")
    prefix = keys.attempts_prefix("r", "BTCUSDT-fast")
    for stranger in ("copy/log.txt", "\u0661\u0661/log.txt", "99/old/log.txt", f"{'9' * 5_000}/log.txt", "x"):
        store.put(f"{prefix}{stranger}", b"not an attempt's\n")
    assert stored_log(store, "r", "BTCUSDT-fast") == ["tenth\ufffd"]
    assert stored_log(store, "r", "ETHUSDT-fast") == []


@pytest.mark.parametrize("status", [429, 500, 503])
def test_the_log_of_a_container_that_has_ended_is_asked_for_again(
    server: ApiServer, cluster: Cluster, pod: str, status: int
) -> None:
    server.logs["p"] = lambda since, follow, tail: iter(LINES[:1])
    finish(server)
    server.fail("GET", "/log$", status)
    assert list(follow_log(cluster, pod, sleep=lambda _: None)) == ["line 0"]
    server.fail("GET", "/log$", status, times=100)
    with pytest.raises(ApiError, match="injected"):
        list(follow_log(cluster, pod, sleep=lambda _: None))


@pytest.mark.parametrize("follow", [False, True])
def test_one_log_that_can_not_be_read_is_an_error_and_of_many_a_line(
    server: ApiServer, cluster: Cluster, pod: str, follow: bool
) -> None:
    plan, store, printed = make_plan("BTCUSDT"), MemoryStore(), list[str]()
    marks = {labels.RUN_LABEL: plan.run, labels.JOB_LABEL: labels.label_value(plan.jobs[0].job)}
    server.state.patch("pods", "lab", "p", {"metadata": {"labels": marks}})
    finish(server)
    server.fail("GET", "/log$", 403, times=100)

    def show(*, named: bool) -> None:
        print_logs(
            cluster, store, plan.run, plan.jobs, printed.append, packed=False, named=named, follow=follow, tail=None
        )

    with pytest.raises(ApiError, match="injected"):
        show(named=False)
    show(named=True)
    assert printed == ["BTCUSDT-fast: no log: GET /api/v1/namespaces/lab/pods/p/log: injected"]
    printed.clear()
    store.put(keys.attempt(plan.run, plan.jobs[0].job, 1, "log.txt"), b"the tail\n")
    show(named=False)
    assert printed == ["the tail"]
