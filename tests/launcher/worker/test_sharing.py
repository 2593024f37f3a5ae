"""Several workers on one run: they share its jobs, and take over from one that has died or hangs."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from atb.contract import keys
from atb.documents.attempt import Claim
from atb.documents.result import Result
from atb.storage import DirectoryStore
from launcher.plan.build import commit_plan
from tests.launcher.worker.test_backend import plan_of
from tests.processes import ROOT

SECONDS = 60.0


@contextmanager
def launcher(store: DirectoryStore, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A launcher that continues the run, in a process of its own; killed with all its children at the end."""
    command = [sys.executable, "-m", "tests.launcher.worker.share", str(store.root), *arguments]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        yield process
    finally:
        for each in family(process):
            each.kill()
        process.kill()
        process.wait()


def family(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The launcher with its fork server and trainings."""
    try:
        root = psutil.Process(process.pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def claims(store: DirectoryStore, job: str) -> list[Claim]:
    found = [entry for entry in store.list(keys.attempts_prefix("r1", job)) if entry.key.endswith("/claim.json")]
    return [Claim.from_bytes(store.get(entry.key), entry.key) for entry in found]


def wait_for(what: str, ready: object) -> None:
    assert callable(ready)
    deadline = time.monotonic() + SECONDS
    while not ready():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)


def is_done(store: DirectoryStore, symbol: str) -> bool:
    return any(entry.key.endswith("/result.json") for entry in store.list(keys.job_prefix("r1", f"{symbol}-fast")))


@pytest.fixture
def place(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "store")


def test_two_launchers_share_the_jobs_of_a_run(place: DirectoryStore) -> None:
    symbols = ["BOTH1", "BOTH2", *(f"QUICK{number}" for number in range(8))]
    commit_plan(plan_of(*symbols), place)
    with launcher(place, "60") as one, launcher(place, "60") as two:  # a stalled machine loses no claim within a minute
        assert (one.wait(SECONDS), two.wait(SECONDS)) == (0, 0)
    shared = Counter[int]()
    for symbol in symbols:
        (claim,) = claims(place, f"{symbol}-fast")
        shared[psutil_parent(claim)] += 1
        key = keys.result("r1", f"{symbol}-fast")
        assert Result.from_bytes(place.get(key), key).job == f"{symbol}-fast"
    assert len(shared) == 2, "each launcher has done some"


def psutil_parent(claim: Claim) -> int:
    """The launcher's process, which the stand-in's claim names as its host."""
    return int(claim.host)


def test_a_killed_launcher_loses_its_jobs_to_the_other_one(place: DirectoryStore) -> None:
    commit_plan(plan_of("SLOW", "QUICK1"), place)
    with launcher(place) as one:
        wait_for("the slow job", lambda: claims(place, "SLOW-fast"))
        with launcher(place) as two:
            for each in family(one):
                with suppress(psutil.NoSuchProcess):  # the kernel ends them with the launcher
                    each.kill()
            assert two.wait(SECONDS) == 0
    assert len(claims(place, "SLOW-fast")) > 1
    assert is_done(place, "SLOW")


def test_one_that_hangs_loses_its_jobs_after_the_lease_and_does_no_harm_when_it_wakes_up(
    place: DirectoryStore,
) -> None:
    commit_plan(plan_of("STUCK", "QUICK1"), place)
    with launcher(place) as one:
        wait_for("the slow job", lambda: claims(place, "STUCK-fast"))
        frozen = family(one)
        for each in frozen:
            each.suspend()
        with launcher(place) as two:
            assert two.wait(SECONDS) == 0
        result = place.get(keys.result("r1", "STUCK-fast"))
        for each in reversed(frozen):
            each.resume()
        assert one.wait(SECONDS) == 0, "it sees that all is done"
    assert len(claims(place, "STUCK-fast")) > 1
    assert place.get(keys.result("r1", "STUCK-fast")) == result
