"""One at a time across processes and machines."""

from __future__ import annotations

import threading
import time

from atb.storage import MemoryStore, Store
from tests.trainer.bars.conftest import Slept
from trainer.bars.cache.claim import PATIENCE_SECONDS, hold_claim


def test_holders_take_turns(store: Store) -> None:
    inside, most = 0, 0
    lock = threading.Lock()

    def work() -> None:
        nonlocal inside, most
        with hold_claim(store, "k", sleep=lambda _: time.sleep(0.01)) as renew:
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


def test_a_dead_holders_claim_is_taken_over_when_it_was_not_renewed_for_long(slept: Slept) -> None:
    store = MemoryStore()
    store.put("k", b"the dead")
    with hold_claim(store, "k", sleep=slept.sleep, clock=slept.clock):
        assert store.get("k") != b"the dead"
    assert PATIENCE_SECONDS < sum(slept) < PATIENCE_SECONDS + 5


def test_a_renewed_claim_is_not_taken_over(slept: Slept) -> None:
    store = MemoryStore()
    store.put("k", b"alive")

    def sleep(seconds: float) -> None:
        slept.sleep(seconds)
        if sum(slept) < 3 * PATIENCE_SECONDS:
            store.put("k", f"alive at {sum(slept)}".encode())

    with hold_claim(store, "k", sleep=sleep, clock=slept.clock):
        assert sum(slept) > 3 * PATIENCE_SECONDS


def test_a_claim_that_was_taken_over_is_left_to_the_new_holder() -> None:
    store = MemoryStore()
    with hold_claim(store, "k"):
        store.put("k", b"another")
    assert store.get("k") == b"another"
