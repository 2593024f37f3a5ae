"""A run whose launcher died is told from one that runs, by the store's clock."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from atb.contract import keys
from atb.errors import Unreadable
from atb.storage import DirectoryStore, MemoryStore, Store
from launcher.plan.build import build_plan, commit_plan
from launcher.records.liveness import LEASE_SECONDS, read_launcher, say_alive
from launcher.records.manifest import list_runs
from tests.atb.documents.test_reading import DAMAGED
from tests.atb.registry.candidates import NOW


def planned(store: Store) -> Store:
    commit_plan(build_plan("r1", ["BTCUSDT"], ["fast"], {"as_of": NOW}, backend="local", now=NOW), store)
    return store


def elsewhere(machine: str | None, process: int) -> bool:
    """Of a launcher on another machine nobody here can tell whether it is gone."""
    return False


def test_a_launcher_lives_while_it_beats_and_has_finished_when_it_says_so(store: Store) -> None:
    planned(store)
    assert read_launcher(store, "r1") is None
    with say_alive(store, "r1", "local", seconds=0.05):
        time.sleep(0.2)
        found = read_launcher(store, "r1")
        assert found is not None
        assert (found.alive, found.died, found.state.process) == (True, False, os.getpid())
        assert {each.run: each.words for each in list_runs(store)}["r1"].startswith("running; not collected yet")
    found = read_launcher(store, "r1")
    assert found is not None
    assert (found.alive, found.died) == (False, False)
    assert {each.run: each.words for each in list_runs(store)}["r1"].endswith(
        "1 pending; not collected yet: atb-launch collect r1"
    )


@pytest.mark.parametrize(
    ("age", "died"), [(LEASE_SECONDS - 20, False), (LEASE_SECONDS + 20, True), (-LEASE_SECONDS - 20, True)]
)
def test_one_that_was_not_heard_of_for_a_lease_has_died(tmp_path: Path, age: float, died: bool) -> None:
    store = DirectoryStore(tmp_path / "store")
    planned(store)
    with say_alive(store, "r1", "local"):
        data = store.get(keys.launcher("r1"))
    store.put(keys.launcher("r1"), data)
    then = time.time() - age
    os.utime(store.root / keys.launcher("r1"), (then, then))
    found = read_launcher(store, "r1", gone=elsewhere)
    assert found is not None
    assert found.died is died
    assert f"process {os.getpid()} on " in found.words
    if died:
        assert {each.run: each.words for each in list_runs(store)}["r1"].endswith("resume with: atb-launch --resume r1")


def test_one_of_this_machine_whose_process_is_gone_has_died_at_once() -> None:
    store = planned(MemoryStore())
    with say_alive(store, "r1", "local"):
        data = store.get(keys.launcher("r1"))
    store.put(keys.launcher("r1"), data)
    found = read_launcher(store, "r1", gone=lambda machine, process: True)
    assert found is not None
    assert found.died


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED)
def test_words_of_a_launcher_that_can_not_be_read_stop_nothing(data: bytes) -> None:
    store = planned(MemoryStore())
    store.put(keys.launcher("r1"), data)
    problems: list[Unreadable] = []
    assert read_launcher(store, "r1", problems) is None
    assert [problem.key for problem in problems] == [keys.launcher("r1")]
    (words,) = [each.words for each in list_runs(store)]
    assert "1 pending; not collected yet: atb-launch collect r1; unreadable: runs/r1/launcher.json " in words
