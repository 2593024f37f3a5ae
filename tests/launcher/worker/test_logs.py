"""Logs of a run on this machine: as they are written, and as they were left."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from atb.clock import SystemClock
from atb.contract import keys
from atb.documents.attempt import Claim, ExitReport
from atb.documents.launcher import LauncherState
from atb.errors import SpecError
from atb.storage import MemoryStore, Store
from launcher.plan.build import build_plan
from launcher.worker.logs import print_local_logs
from tests.atb.registry.candidates import NOW, commit

PLAN = build_plan("r1", ["BTCUSDT", "ETHUSDT"], ["fast"], {"as_of": NOW}, backend="local", now=NOW)


class Acting(SystemClock):
    """A clock on which something happens at each wait, and which then stands still no longer."""

    def __init__(self, *acts: Callable[[], object]) -> None:
        self._acts = iter(acts)
        self._at = 0.0

    def monotonic(self) -> float:
        return self._at

    def sleep(self, seconds: float) -> None:
        self._at += 10
        next(self._acts)()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a worker of this run has its logs."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return Path(tempfile.mkdtemp(prefix="atb-r1-"))


@pytest.fixture
def store() -> Store:
    store = MemoryStore()
    state = LauncherState(host="here", process=1, backend="local", started=datetime.now(UTC))
    store.put(keys.launcher("r1"), state.to_bytes())
    return store


def claim(store: Store, job: str) -> None:
    store.put(
        keys.attempt("r1", job, 1, "claim.json"), Claim(attempt=1, host="here", process=1, started=NOW).to_bytes()
    )


def left(store: Store, job: str, text: str) -> None:
    store.put(keys.attempt("r1", job, 1, "log.txt"), text.encode())
    report = ExitReport(
        attempt=1, code=10, category="bad-data", message="why", stage="data loading", started=NOW, finished=NOW
    )
    store.put(keys.attempt("r1", job, 1, "exit.json"), report.to_bytes())


def logs(
    store: Store, *, jobs: int = 2, follow: bool = False, tail: int | None = None, clock: SystemClock
) -> list[str]:
    printed: list[str] = []
    print_local_logs(
        PLAN, store, PLAN.jobs[:jobs], printed.append, named=jobs > 1, follow=follow, tail=tail, clock=clock
    )
    return printed


def test_the_logs_of_all_jobs_are_printed_with_their_names_whether_they_run_or_have_ended(
    store: Store, folder: Path
) -> None:
    claim(store, "BTCUSDT-fast")
    (folder / "BTCUSDT-fast.log").write_text("one\ntwo\nhal")
    left(store, "ETHUSDT-fast", "first\nlast\n")
    assert logs(store, clock=SystemClock()) == [
        "BTCUSDT-fast: one", "BTCUSDT-fast: two", "ETHUSDT-fast: first", "ETHUSDT-fast: last",
    ]  # fmt: skip
    assert logs(store, tail=1, clock=SystemClock()) == ["BTCUSDT-fast: two", "ETHUSDT-fast: last"]


def test_a_log_that_is_followed_ends_with_its_job_and_loses_no_line(store: Store, folder: Path) -> None:
    claim(store, "BTCUSDT-fast")
    path = folder / "BTCUSDT-fast.log"
    path.write_text("one\n")

    def write(text: str) -> None:
        with path.open("a") as file:
            file.write(text)

    def end() -> None:
        write("last without an end of line")
        commit(store, "r1")

    clock = Acting(lambda: write("two\nth"), lambda: write("ree\n"), end, lambda: pytest.fail("it had ended"))
    assert logs(store, jobs=1, follow=True, clock=clock) == ["one", "two", "three", "last without an end of line"]


def test_a_job_that_begins_later_is_followed_too_and_one_on_another_machine_at_its_end(
    store: Store, folder: Path
) -> None:
    def begin() -> None:
        claim(store, "BTCUSDT-fast")
        (folder / "BTCUSDT-fast.log").write_text("begun\n")

    def end() -> None:
        left(store, "BTCUSDT-fast", "begun\n")
        left(store, "ETHUSDT-fast", "from afar\n")

    clock = Acting(begin, lambda: None, end)
    assert logs(store, follow=True, clock=clock) == ["BTCUSDT-fast: begun", "ETHUSDT-fast: from afar"]


def test_following_ends_when_the_launcher_has(store: Store, folder: Path) -> None:
    ended = LauncherState(host="here", process=1, backend="local", started=NOW, finished=NOW)
    clock = Acting(lambda: store.put(keys.launcher("r1"), ended.to_bytes()))
    assert logs(store, follow=True, clock=clock) == []


def test_a_single_job_without_a_log_is_an_error_that_says_why(store: Store, folder: Path) -> None:
    with pytest.raises(SpecError, match="BTCUSDT-fast of run r1 has not started"):
        logs(store, jobs=1, clock=SystemClock())
    claim(store, "BTCUSDT-fast")
    with pytest.raises(SpecError, match="another machine"):
        logs(store, jobs=1, clock=SystemClock())
    assert len(logs(store, clock=SystemClock())) == 2


def test_nothing_that_others_put_in_a_shared_folder_is_taken_for_a_log(store: Store, folder: Path) -> None:
    claim(store, "BTCUSDT-fast")
    secret = folder / "secret"
    secret.write_text("not a log\n")
    (folder / "BTCUSDT-fast.log").symlink_to(secret)
    with pytest.raises(SpecError):
        logs(store, jobs=1, clock=SystemClock())
