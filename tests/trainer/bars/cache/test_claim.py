"""One at a time across processes and machines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading

import pytest

from atb.clock import SystemClock
from atb.errors import Stopped
from atb.machine import machine_id
from atb.patience import INTERRUPT
from atb.storage import MemoryStore, Store
from tests.trainer.bars.conftest import Slept
from trainer.bars.cache.claim import PATIENCE_SECONDS, hold_claim


class Quick(SystemClock):
    def sleep(self, seconds: float) -> None:
        super().sleep(min(seconds, 0.01))


def test_holders_take_turns(store: Store) -> None:
    inside, most = 0, 0
    lock = threading.Lock()

    def work() -> None:
        nonlocal inside, most
        with hold_claim(store, "k", clock=Quick()) as renew:
            with lock:
                inside += 1
                most = max(most, inside)
            renew()
            with lock:
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert list(store.list("k")) == []


@pytest.mark.parametrize("content", [b"the dead", b"", b"[" * 100_000, b'{"process": 1e999, "machine": 3, "host": []}'])
def test_a_dead_holders_claim_is_taken_over_when_it_was_not_renewed_for_long(slept: Slept, content: bytes) -> None:
    store = MemoryStore()
    store.put("k", content)
    with hold_claim(store, "k", clock=slept):
        assert store.get("k") != content
    assert PATIENCE_SECONDS < sum(slept) < PATIENCE_SECONDS + 5


def test_a_renewed_claim_is_not_taken_over() -> None:
    store = MemoryStore()
    store.put("k", b"alive")

    class Renewed(Slept):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            if sum(self) < 3 * PATIENCE_SECONDS:
                store.put("k", f"alive at {sum(self)}".encode())

    clock = Renewed()
    with hold_claim(store, "k", clock=clock):
        assert sum(clock) > 3 * PATIENCE_SECONDS


def test_a_holder_that_died_on_this_machine_is_seen_at_once(slept: Slept, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    store = MemoryStore()
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        dead.wait()
    claim = {"machine": machine_id(), "process": dead.pid, "host": "here"}
    store.put("k", json.dumps(claim).encode())
    with hold_claim(store, "k", clock=slept):
        assert sum(slept) == 0
    assert f"waiting while process {dead.pid} on here is fetching these bars" in caplog.text


def test_a_live_holder_is_waited_for_until_a_stop_signal() -> None:
    store = MemoryStore()
    store.put("k", json.dumps({"machine": machine_id(), "process": os.getpid(), "host": "here"}).encode())

    class Interrupted(Slept):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            INTERRUPT.stop()

    clock = Interrupted()
    with pytest.raises(Stopped, match="is fetching these bars"), hold_claim(store, "k", clock=clock):
        pass
    assert len(clock) == 1


def test_a_claim_that_was_taken_over_is_left_to_the_new_holder() -> None:
    store = MemoryStore()
    with hold_claim(store, "k"):
        store.put("k", b"another")
    assert store.get("k") == b"another"


@pytest.mark.parametrize(("age", "waits"), [(PATIENCE_SECONDS, True), (86_400.0, False), (-3600.0, True)])
def test_a_claim_of_long_ago_is_taken_over_at_once(age: float, waits: bool) -> None:
    store = MemoryStore()
    store.put("k", b'{"machine": "another", "process": 7}')
    (entry,) = store.list("k")

    class Later(Slept):
        def now(self) -> float:
            return entry.modified.timestamp() + age

    clock = Later()
    with hold_claim(store, "k", clock=clock):
        assert (sum(clock) > 0) is waits
