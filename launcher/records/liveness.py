"""Whether a run's launcher lives, by the store's own clock."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from atb.contract import keys
from atb.documents.launcher import LauncherState
from atb.errors import AtbError, NotFound, Unreadable
from atb.machine import is_gone, machine_id
from atb.patience import INTERRUPT
from atb.storage import Store
from atb.storage.read import find_entry, read_document
from atb.storage.store_clock import read_clock

BEAT_SECONDS = 10.0
_LAST_SECONDS, _HURRIED_SECONDS = 5.0, 1.0
"""How long the last word may take, and after a stop signal."""
LEASE_SECONDS = 60.0
"""A launcher whose heartbeat is older than this has died, or its machine has."""


@dataclass(frozen=True)
class Launcher:
    """A run's launcher as the store has it. ``heard``: seconds since 1970, by the store's clock."""

    state: LauncherState
    heard: float
    now: float
    gone: bool

    @property
    def alive(self) -> bool:
        """Whether it still follows the run."""
        return self.state.finished is None and not self.gone and abs(self.now - self.heard) <= LEASE_SECONDS

    @property
    def died(self) -> bool:
        """Whether it ended without a word."""
        return self.state.finished is None and not self.alive

    @property
    def words(self) -> str:
        """``process 7 on node-1, last heard of 2026-01-31 06:00:00 UTC``."""
        heard = f"{datetime.fromtimestamp(self.heard, UTC):%Y-%m-%d %H:%M:%S} UTC"
        return f"process {self.state.process} on {self.state.host}, last heard of {heard}"


def read_launcher(
    store: Store,
    run: str,
    problems: list[Unreadable] | None = None,
    *,
    now: float | None = None,
    gone: Callable[[str | None, int], bool] = is_gone,
) -> Launcher | None:
    """The run's latest launcher; None where it is not known. ``problems`` gets why it can't be read. Raises
    StoreError."""
    key = keys.launcher(run)
    entry = find_entry(store, key)
    if entry is None:
        return None
    try:
        state = read_document(store, LauncherState, key, entry=entry)
    except Unreadable as problem:
        if problems is not None:
            problems.append(problem)
        return None
    except NotFound:
        return None
    at = read_clock(store) if now is None else now
    return Launcher(state, entry.modified.timestamp(), at, gone(state.machine, state.process))


@contextmanager
def say_alive(store: Store, run: str, backend: str, seconds: float = BEAT_SECONDS) -> Iterator[None]:
    """Say every few seconds that this launcher lives, in a thread; at the end, that it came to one. A store that
    can't take it stops nothing."""
    state = LauncherState(
        host=socket.gethostname(),
        process=os.getpid(),
        machine=machine_id() or None,
        backend=backend,
        started=datetime.now(UTC),
    )
    left, signals_before = threading.Event(), INTERRUPT.count

    def put(state: LauncherState) -> None:
        with suppress(AtbError):
            store.within(seconds).put(keys.launcher(run), state.to_bytes())

    def beat() -> None:
        while not left.wait(seconds):
            put(state)
        put(state.model_copy(update={"finished": datetime.now(UTC)}))

    put(state)
    thread = threading.Thread(target=beat, name="say-alive", daemon=True)
    thread.start()
    try:
        yield
    finally:
        left.set()
        thread.join(_LAST_SECONDS if INTERRUPT.count == signals_before else _HURRIED_SECONDS)
