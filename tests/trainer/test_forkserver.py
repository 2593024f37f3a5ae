from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from atb.contract import keys
from atb.contract.spec import resolve_spec
from atb.documents.attempt import Claim, ExitReport
from atb.storage import DirectoryStore
from launcher.worker.forkserver_client import Ended, ForkServerClient, Started

ROOT = Path(__file__).parents[2]
STUB = (sys.executable, "-m", "tests.launcher.stub_server")


def test_what_is_done_before_the_fork_runs_no_operation_and_leaves_no_thread_that_children_would_lack() -> None:
    check = """
import sys
from pathlib import Path
from trainer.forkserver import preload
preload()
from tensorflow.python.eager import context
print(context.context_safe() is None or not context.context()._initialized)
names = [path.read_text() for path in Path("/proc/self/task").glob("*/comm")]
print(sum(not name.startswith("jemalloc") for name in names))  # Arrow's allocator, which minds forks itself
before = set(sys.modules)
import numpy as np
from trainer.evaluate.trees import forecast_trees
forecast_trees(np.ones((50, 2)), np.arange(50.0), np.ones((2, 2)))
print(sorted(set(sys.modules) - before))
"""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}  # as every worker starts the server
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, cwd=ROOT, env=environment)
    modules, threads, imported = done.stdout.splitlines() or ["", "", ""]
    assert modules == "True", done.stderr
    assert threads == "1"
    assert imported == "[]"


def test_atb_in_a_child_ends_with_the_code_of_atb(tmp_path: Path) -> None:
    server = (sys.executable, "-c", "from trainer.forkserver import run_atb, serve; serve(run_atb)")
    wanted = {"help": (["--help"], 0), "unknown": (["nonsense"], 2), "spec": (["train", "job", "{}"], 2)}
    ended: dict[str, int | None] = {}
    with ForkServerClient(server) as forks:
        for name, (arguments, _) in wanted.items():
            forks.start(name, arguments, str(tmp_path / name))
        while len(ended) < len(wanted):
            ended.update((event.name, event.code) for event in forks.events(10) if isinstance(event, Ended))
    assert ended == {name: code for name, (_, code) in wanted.items()}
    assert "Train one price model" in (tmp_path / "help").read_text()
    assert (tmp_path / "spec").read_text().startswith("error: SPEC is not a spec document")


COMPILE = """
from trainer.forkserver import main

def compile_one(_):
    import tensorflow as tf
    return int(tf.function(tf.reduce_sum, jit_compile=True)(tf.ones(20)))

main(compile_one)
"""


def test_what_one_child_has_compiled_the_next_ones_load(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "TF_XLA_FLAGS"}
    seen: list[tuple[Path, int, int]] = []
    environment |= {"TMPDIR": str(tmp_path), "ATB_COMPILE_CACHE": str(tmp_path / "shared")}
    with ForkServerClient((sys.executable, "-c", COMPILE), environment) as forks:
        for name in ("first", "second"):
            forks.start(name, [], str(tmp_path / name))
            ended: list[Ended] = []
            while not ended:
                ended += [event for event in forks.events(10) if isinstance(event, Ended)]
            assert [event.code for event in ended] == [20]
            seen += [(path, path.stat().st_ino, path.stat().st_mtime_ns) for path in tmp_path.glob("atb-xla-*/*")]
    assert len(seen) == 2
    assert seen[0] == seen[1]  # the second would have written it anew
    assert [path.name.split("@")[0] for path in tmp_path.glob("shared/*/*")] == [seen[0][0].name]


@pytest.fixture
def slow(tmp_path: Path) -> tuple[DirectoryStore, list[str]]:
    """A training that runs until it is stopped, and its arguments."""
    store = DirectoryStore(tmp_path / "store")
    spec = resolve_spec("SLOW", "fast", {}, now=datetime(2026, 1, 31, tzinfo=UTC))
    return store, ["train", "job", spec.model_dump_json(), "--run", "r1", "--store", store.url, "--threads", "1"]


def wait_until_it_runs(store: DirectoryStore) -> None:
    while not list(store.list(keys.progress_prefix("r1"))):
        time.sleep(0.02)


def test_trainings_are_stopped_when_the_parent_is_gone(slow: tuple[DirectoryStore, list[str]], tmp_path: Path) -> None:
    store, arguments = slow
    with ForkServerClient(STUB) as forks:
        forks.start("SLOW-fast", arguments, str(tmp_path / "log"))
        wait_until_it_runs(store)
    key = keys.attempt("r1", "SLOW-fast", 1, "exit.json")
    assert ExitReport.from_bytes(store.get(key), key).code == 143


def test_a_training_is_a_session_of_its_own(slow: tuple[DirectoryStore, list[str]], tmp_path: Path) -> None:
    """So that a terminal's Ctrl-C reaches the launcher alone."""
    store, arguments = slow
    with ForkServerClient(STUB) as forks:
        forks.start("SLOW-fast", arguments, str(tmp_path / "log"))
        pids: list[int] = []
        while not pids:
            pids += [event.pid for event in forks.events(10) if isinstance(event, Started)]
        (pid,) = pids
        wait_until_it_runs(store)
        claim = keys.attempt("r1", "SLOW-fast", 1, "claim.json")
        assert Claim.from_bytes(store.get(claim), claim).process == pid
        assert os.getsid(pid) == pid
        assert os.getsid(forks.pid) == forks.pid != os.getsid(0)
        forks.stop("SLOW-fast")
        ended: list[Ended] = []
        while not ended:
            ended += [event for event in forks.events(10) if isinstance(event, Ended)]
    assert [(event.code, event.signal) for event in ended] == [(143, None)]
