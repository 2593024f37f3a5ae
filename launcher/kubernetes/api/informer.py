"""One list and one watch of a resource, whatever its size: reports what exists and what was deleted."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from atb.threads import SYSTEM_THREADS, Flag, Threads
from launcher.kubernetes.api.client import Cluster
from launcher.kubernetes.api.requests import ApiError

_Facts = TypeVar("_Facts")

LONGEST_WAIT = 10.0
"""Seconds between two tries at a server that does not answer."""
EXPIRED_AT_MOST = 5
"""How many times in a row a server that restarts may call every version expired (410)."""
SHORTEST_WATCH = 1.0
"""Seconds from one watch to the next, where something cuts them short."""
BLIND_SECONDS = 120.0
"""How long watches may bring nothing, not even a bookmark, before all is listed again: something may hold them back, or
the server may have lost the version that they begin with."""
NOTHING = "atb/none"
"""A label that no object has."""


@dataclass(frozen=True, slots=True)
class Listed(Generic[_Facts]):
    """All there is, by name; whatever else was known has vanished.

    ``started``: when the list was requested, by the client's clock that never goes back.
    """

    objects: dict[str, _Facts]
    started: float = field(default=math.inf, compare=False)


@dataclass(frozen=True, slots=True)
class Changed(Generic[_Facts]):
    """One object is there or has changed."""

    name: str
    status: _Facts


@dataclass(frozen=True, slots=True)
class Deleted:
    """One object has been removed."""

    name: str


@dataclass(frozen=True, slots=True)
class Unreachable:
    """The API server does not answer; the request is repeated."""

    error: ApiError


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Nothing has happened, as the API server confirms."""


Change = Listed[_Facts] | Changed[_Facts] | Deleted | Heartbeat | Unreachable


def follow(
    cluster: Cluster,
    resource: str,
    selector: str,
    read: Callable[[dict[str, Any]], _Facts],
    stopping: Flag,
    *,
    changes: bool = True,
    shortest: float = SHORTEST_WATCH,
) -> Iterator[Change[_Facts]]:
    """What happens to the selected objects until ``stopping``; without ``changes`` only what there is at first, and
    then whether the server answers.

    A watch that ends is opened again where it ended; 410 and a server that forgot mean a new list. Errors that can't
    pass (403, 404) are raised as ApiError, all others are reported as Unreachable and retried.
    """
    version, heard, failures, expired, silent = "", 0.0, 0, 0, False
    watched = selector if changes else ",".join(filter(None, (selector, NOTHING)))
    while not stopping.is_set():
        try:
            if not version:
                heard = cluster.clock.monotonic()
                objects, version = cluster.list(resource, read, selector=selector)
                silent = False
                yield Listed(objects, heard)
            opened = cluster.clock.monotonic()
            for kind, item in cluster.watch(resource, version, selector=watched):
                if kind == "OPENED":
                    if silent:
                        yield Heartbeat()
                    silent = False
                    continue
                failures = expired = 0
                version, heard = item["metadata"]["resourceVersion"], cluster.clock.monotonic()
                if kind == "DELETED":
                    yield Deleted(item["metadata"]["name"])
                elif kind not in ("ADDED", "MODIFIED"):
                    yield Heartbeat()
                else:
                    with cluster.understood(resource):  # the watch goes on behind one that can't be read
                        changed = Changed(item["metadata"]["name"], read(item))
                    yield changed
                if stopping.is_set():
                    return
            yield Heartbeat()
            now = cluster.clock.monotonic()
            version = version if now < heard + BLIND_SECONDS else ""
            stopping.wait(max(0.0, opened + shortest - now))
        except ApiError as error:
            if error.status in (401, 403, 404, 405, 422):
                raise
            if error.status == 410 or not error.transient or cluster.clock.monotonic() > heard + BLIND_SECONDS:
                version = ""
            expired = expired + 1 if error.status == 410 else 0  # a server that restarts may repeat it, and answers
            if not expired or expired > EXPIRED_AT_MOST:
                silent = not expired
                yield Unreachable(error)
            if expired != 1:
                stopping.wait(min(0.25 * 2 ** min(failures, 9), LONGEST_WAIT) * cluster.jitter.uniform(0.75, 1.25))
            failures += 1


class Informer(Generic[_Facts]):
    """Follows a resource in a thread and hands each change on. ``failed`` holds the error that ended it, if one did."""

    def __init__(
        self,
        cluster: Cluster,
        resource: str,
        selector: str,
        read: Callable[[dict[str, Any]], _Facts],
        tell: Callable[[Change[_Facts]], None],
        threads: Threads = SYSTEM_THREADS,
        *,
        changes: bool = True,
    ) -> None:
        self.failed: Exception | None = None
        self._stopping = threads.flag()
        self._arguments, self._changes = (cluster, resource, selector, read), changes
        self._tell = tell
        self._threads = threads

    def start(self) -> None:
        """Begin with a list."""
        self._threads.start(self._run, f"watch-{self._arguments[1]}")

    def stop(self) -> None:
        """Ask it to end; a watch in progress ends with the process."""
        self._stopping.set()

    def _run(self) -> None:
        try:
            for change in follow(*self._arguments, self._stopping, changes=self._changes):
                self._tell(change)
        except Exception as error:
            self.failed = error
