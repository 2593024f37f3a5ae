"""One list and one watch: what is dropped, too old or interrupted loses nothing. The test writes the objects itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from launcher.kubernetes.api.client import Cluster
from launcher.kubernetes.api.informer import (
    EXPIRED_AT_MOST,
    Change,
    Changed,
    Deleted,
    Heartbeat,
    Listed,
    Unreachable,
    follow,
)
from launcher.kubernetes.api.requests import ApiError
from tests.apiserver.http import ApiServer


class Impatient(threading.Event):
    """Waits briefly: the waits between two tries at a server that is away grow to half a minute."""

    def wait(self, timeout: float | None = None) -> bool:
        return super().wait(None if timeout is None else min(timeout, 0.3))


class Seen:
    """Follows ConfigMaps in a thread and applies what it is told."""

    def __init__(self, cluster: Cluster, *, changes: bool = True) -> None:
        self.names: dict[str, str] = {}
        self.changes: list[Change[str]] = []
        self.error: ApiError | None = None
        self.stopping = Impatient()
        self._cluster, self._wanted = cluster, changes
        self._moved = threading.Condition()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            answers = follow(self._cluster, "configmaps", "", _read, self.stopping, changes=self._wanted, shortest=0.0)
            for change in answers:
                with self._moved:
                    self._apply(change)
                    self._moved.notify_all()
        except ApiError as error:
            with self._moved:
                self.error = error
                self._moved.notify_all()

    def _apply(self, change: Change[str]) -> None:
        self.changes.append(change)
        match change:
            case Listed(objects):
                self.names = dict(objects)
            case Changed(name, status):
                self.names[name] = status
            case Deleted(name):
                self.names.pop(name, None)

    def wait_for(self, condition: Callable[[], bool], seconds: float = 10.0) -> bool:
        with self._moved:
            return self._moved.wait_for(condition, seconds)


def _read(item: dict[str, Any]) -> str:
    return str(item.get("data", {}).get("v", ""))


@pytest.fixture
def seen(server: ApiServer, cluster: Cluster) -> Iterator[Seen]:
    put(server, "first")
    seen = Seen(cluster)
    assert seen.wait_for(lambda: "first" in seen.names)
    yield seen
    seen.stopping.set()


def put(server: ApiServer, name: str, value: str = "1") -> None:
    server.state.create("configmaps", "lab", {"metadata": {"name": name}, "data": {"v": value}})


def test_what_is_created_changed_and_removed_is_reported(server: ApiServer, seen: Seen) -> None:
    put(server, "a")
    server.state.patch("configmaps", "lab", "a", {"data": {"v": "2"}})
    assert seen.wait_for(lambda: seen.names.get("a") == "2")
    server.state.delete("configmaps", "lab", "a")
    assert seen.wait_for(lambda: "a" not in seen.names)


def test_a_dropped_watch_goes_on_where_it_ended_without_a_new_list(server: ApiServer, seen: Seen) -> None:
    server.drop_connections()
    put(server, "a")
    assert seen.wait_for(lambda: "a" in seen.names)
    assert len(server.seen("GET", "/configmaps", limit="500")) == 1


def test_a_bookmark_moves_the_version_that_a_watch_goes_on_from(server: ApiServer, seen: Seen) -> None:
    server.bookmark_seconds = 0.05
    for number in range(3):
        server.state.create("events", "lab", {"metadata": {"name": f"e{number}"}})
    server.drop_connections()
    put(server, "a")
    assert seen.wait_for(lambda: "a" in seen.names)


def test_a_version_that_is_too_old_is_listed_again_and_what_vanished_meanwhile_is_gone(
    server: ApiServer, seen: Seen
) -> None:
    put(server, "kept")
    assert seen.wait_for(lambda: "kept" in seen.names)
    server.fail("GET", "/configmaps", 410, times=1)
    with server.state.changed:
        server.drop_connections()
        server.state.delete("configmaps", "lab", "first")
        put(server, "new")
        server.state.compact()
    assert seen.wait_for(lambda: set(seen.names) == {"kept", "new"})
    assert sum(isinstance(change, Listed) for change in seen.changes) >= 2


def test_an_error_event_with_410_in_an_open_watch_means_a_new_list(server: ApiServer, seen: Seen) -> None:
    with server.state.changed:
        server.state.delete("configmaps", "lab", "first")
        server.state.compact()
    assert seen.wait_for(lambda: seen.names == {})


def test_a_server_that_restarts_loses_nothing(server: ApiServer, seen: Seen) -> None:
    server.stop()
    put(server, "a")
    assert seen.wait_for(lambda: any(isinstance(change, Unreachable) for change in seen.changes))
    server.start()
    assert seen.wait_for(lambda: "a" in seen.names)


def test_a_server_that_was_away_and_has_forgotten_the_version_answers(server: ApiServer, seen: Seen) -> None:
    server.stop()
    put(server, "a")
    server.state.compact()

    def troubles() -> list[int]:
        return [change.error.status for change in list(seen.changes) if isinstance(change, Unreachable)]

    assert seen.wait_for(lambda: len(troubles()) > EXPIRED_AT_MOST + 1)
    server.start()
    assert seen.wait_for(lambda: "a" in seen.names)
    assert set(troubles()) == {0}


def test_a_server_error_is_reported_and_the_request_retried(server: ApiServer, seen: Seen) -> None:
    server.fail("GET", "/configmaps", 500, times=3)
    server.drop_connections()
    put(server, "a")
    assert seen.wait_for(lambda: "a" in seen.names)
    assert any(isinstance(change, Unreachable) for change in seen.changes)


def test_a_quiet_server_differs_from_a_silent_one(server: ApiServer, seen: Seen) -> None:
    server.bookmark_seconds = 0.05
    assert seen.wait_for(lambda: isinstance(seen.changes[-1], Heartbeat))


def test_a_server_that_is_back_is_heard_of_before_anything_changes(server: ApiServer, seen: Seen) -> None:
    server.stop()
    assert seen.wait_for(lambda: any(isinstance(change, Unreachable) for change in seen.changes))
    server.start()
    assert seen.wait_for(lambda: isinstance(seen.changes[-1], Heartbeat))


def test_without_changes_only_what_was_there_is_told_and_a_silent_server_all_the_same(
    server: ApiServer, cluster: Cluster
) -> None:
    put(server, "first")
    server.bookmark_seconds = 0.05
    seen = Seen(cluster, changes=False)
    assert seen.wait_for(lambda: len(seen.changes) > 1 and isinstance(seen.changes[-1], Heartbeat))
    put(server, "later")
    heard = len(seen.changes)
    assert seen.wait_for(lambda: len(seen.changes) > heard + 1)  # a bookmark from after that change
    assert seen.names == {"first": "1"}
    server.stop()
    assert seen.wait_for(lambda: any(isinstance(change, Unreachable) for change in seen.changes))
    seen.stopping.set()


def test_what_we_may_not_watch_is_an_error_at_once(server: ApiServer, cluster: Cluster) -> None:
    server.denied.add(("list", "configmaps"))
    seen = Seen(cluster)
    assert seen.wait_for(lambda: seen.error is not None)
    assert seen.error is not None
    assert seen.error.status == 403


def test_a_server_that_only_answers_410_is_not_queried_in_a_loop(server: ApiServer, cluster: Cluster) -> None:
    server.state.compact()
    put(server, "first")
    for _ in range(200):
        server.fail("GET", "/configmaps$", 410, times=10**6, after=False)
    seen = Seen(cluster)
    assert not seen.wait_for(lambda: False, 1.5)
    assert len(server.seen("GET", "/configmaps")) < 12
    seen.stopping.set()
