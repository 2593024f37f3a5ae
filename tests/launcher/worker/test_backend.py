from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from atb.contract import keys
from atb.documents.attempt import Verdict
from atb.documents.manifest import ManifestJob
from atb.documents.plan import Plan
from atb.errors import Unavailable
from atb.storage import DirectoryStore
from launcher.plan.backend import Mode
from launcher.plan.build import build_plan
from launcher.records.leases import Rules
from launcher.records.manifest import build_manifest
from launcher.records.run_record import RunRecord
from launcher.report.live_table import Row
from launcher.worker.backend import LocalBackend

NOW = datetime(2026, 1, 31, 6, tzinfo=UTC)
STUB = (sys.executable, "-m", "tests.launcher.stub_server")


class Watcher:
    """Keeps what was shown, and acts once something is."""

    def __init__(self, act: Callable[[list[Row]], bool] = lambda rows: False) -> None:
        self.rows: list[Row] = []
        self.notes: list[str] = []
        self.most_running = 0
        self._act, self._acted = act, False

    def __call__(self, rows: Sequence[Row], note: str) -> None:
        self.rows = list(rows)
        self.notes.append(note)
        self.most_running = max(self.most_running, sum(row.state == "running" for row in rows))
        self._acted = self._acted or self._act(self.rows)


def plan_of(*symbols: str) -> Plan:
    return build_plan("r1", symbols, ["fast"], {"as_of": NOW}, backend="local", now=NOW)


def do(
    store: DirectoryStore,
    *symbols: str,
    show: Watcher | None = None,
    mode: Mode = "create",
    parallel: int = 2,
    server: Sequence[str] = STUB,
) -> tuple[int | None, dict[str, ManifestJob]]:
    plan = plan_of(*symbols)
    backend = LocalBackend(parallel, server=server, rules=Rules(pauses=(0.0,)))
    stopped = backend.run(plan, store, show or Watcher(), mode=mode)
    return stopped, {job.symbol: job for job in build_manifest(RunRecord.of(store, plan)).jobs}


@pytest.fixture
def place(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "store")


def test_one_failed_symbol_does_not_stop_the_others(place: DirectoryStore) -> None:
    stopped, jobs = do(place, "BADBARS", "BTCUSDT", "ETHUSDT")
    assert stopped is None
    assert {symbol: job.state for symbol, job in jobs.items()} == {
        "BADBARS": "failed",
        "BTCUSDT": "done",
        "ETHUSDT": "done",
    }
    assert (jobs["BADBARS"].category, jobs["BADBARS"].reason) == ("bad-data", "40 bars where 500 are needed")
    assert jobs["BADBARS"].attempts == 1, "the same bars would be as bad again"


def test_what_may_pass_is_tried_three_times(place: DirectoryStore) -> None:
    _, jobs = do(place, "FLAKY", "NEVER")
    assert (jobs["FLAKY"].state, jobs["FLAKY"].attempts) == ("done", 3)
    assert (jobs["NEVER"].state, jobs["NEVER"].attempts, jobs["NEVER"].category) == ("failed", 3, "unavailable")


def test_a_killed_process_is_tried_again_and_named_by_its_signal(place: DirectoryStore) -> None:
    _, jobs = do(place, "KILLED", "KILLEDONCE")
    assert (jobs["KILLEDONCE"].state, jobs["KILLEDONCE"].attempts) == ("done", 2)
    assert (jobs["KILLED"].state, jobs["KILLED"].attempts, jobs["KILLED"].category) == ("failed", 3, "killed")
    assert "SIGKILL" in jobs["KILLED"].reason
    assert "--max-parallel" in jobs["KILLED"].reason
    log = place.get(keys.attempt("r1", "KILLED-fast", 3, "log.txt")).decode()
    assert log.splitlines()[-1] == "attempt 3 of KILLED-fast with 1 threads"


def test_an_attempt_that_could_not_even_claim_is_explained_by_its_last_words(place: DirectoryStore) -> None:
    _, jobs = do(place, "MUTE")
    assert (jobs["MUTE"].state, jobs["MUTE"].category) == ("failed", "unavailable")
    assert jobs["MUTE"].reason == "the store is out of reach"
    verdict = Verdict.from_bytes(place.get(keys.verdict("r1", "MUTE-fast")), "verdict")
    assert verdict.attempts == 0


def test_a_bug_is_not_tried_again_and_its_traceback_is_in_the_log(place: DirectoryStore) -> None:
    _, jobs = do(place, "BROKEN")
    assert (jobs["BROKEN"].state, jobs["BROKEN"].category, jobs["BROKEN"].attempts) == ("failed", "bug", 1)
    assert "ZeroDivisionError" in place.get(keys.attempt("r1", "BROKEN-fast", 1, "log.txt")).decode()


def test_no_more_run_at_a_time_than_requested(place: DirectoryStore) -> None:
    show = Watcher()
    do(place, *(f"S{n}" for n in range(5)), show=show, parallel=1)
    assert show.most_running <= 1
    assert [row.state for row in show.rows] == ["done"] * 5


def test_told_to_stop_it_stops_the_children_and_a_resume_goes_on(place: DirectoryStore) -> None:
    def stop(rows: list[Row]) -> bool:
        if any(row.epoch for row in rows):
            os.kill(os.getpid(), signal.SIGTERM)
            return True
        return False

    show = Watcher(stop)
    before = signal.getsignal(signal.SIGTERM)
    stopped, jobs = do(place, "BTCUSDT", "SLOW", "SLOWER", show=show, parallel=1)
    assert stopped == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before
    assert [job.state for job in jobs.values()] == ["done", "interrupted", "pending"]
    assert jobs["SLOW"].reason == "stopped in epoch 3"
    assert any("SIGTERM: stopping 1 training;" in note for note in show.notes)
    first = place.get(keys.result("r1", "BTCUSDT-fast"))
    stopped, jobs = do(place, "BTCUSDT", "SLOW", "SLOWER", mode="resume")
    assert stopped is None
    assert [(job.state, job.attempts) for job in jobs.values()] == [("done", 1), ("done", 2), ("done", 1)]
    assert place.get(keys.result("r1", "BTCUSDT-fast")) == first


def test_progress_is_shown_while_it_goes(place: DirectoryStore) -> None:
    seen: list[Row] = []

    def stop(rows: list[Row]) -> bool:
        if rows[0].epoch:
            seen.append(rows[0])
            os.kill(os.getpid(), signal.SIGINT)
            return True
        return False

    stopped, _ = do(place, "SLOW", show=Watcher(stop))
    assert stopped == signal.SIGINT
    assert (seen[0].epoch, seen[0].epochs, seen[0].validation_loss) == (2, 9, 0.5)


def test_a_dead_server_is_one_line_with_its_last_words(place: DirectoryStore) -> None:
    server = (sys.executable, "-c", "import sys; sys.exit('no module named gravity')")
    with pytest.raises(Unavailable, match=r"ended with exit code 1: no module named gravity"):
        do(place, "BTCUSDT", server=server)


def test_trainings_do_not_outlive_a_killed_server(place: DirectoryStore, tmp_path: Path) -> None:
    pids = tmp_path / "pids"

    def kill(rows: list[Row]) -> bool:
        if rows[0].epoch:
            claim = place.get(keys.attempt("r1", "SLOW-fast", 1, "claim.json"))
            pids.write_bytes(claim)
            for child in threading_children():
                os.kill(child, signal.SIGKILL)
            return True
        return False

    with pytest.raises(Unavailable, match="was killed by SIGKILL"):
        do(place, "SLOW", show=Watcher(kill))
    import psutil

    from atb.documents.attempt import Claim

    pid = Claim.from_bytes(pids.read_bytes(), "claim").process
    if psutil.pid_exists(pid):
        psutil.Process(pid).wait(timeout=20)


def threading_children() -> list[int]:
    """The children of this process."""
    import psutil

    assert threading.current_thread() is threading.main_thread()
    return [child.pid for child in psutil.Process().children() if "stub_server" in " ".join(child.cmdline())]
