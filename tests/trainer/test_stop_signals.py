"""A stop signal before the training, where a library makes another error of it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from atb.contract import keys
from atb.documents.attempt import ExitReport
from atb.errors import Stopped
from atb.storage import MemoryStore
from launcher.records.attempt_facts import AttemptReader
from launcher.records.leases import Rules, classify_job
from tests.processes import PATIENCE, ROOT, job_arguments
from tests.trainer.pipeline.market import DEVICE, sine_close, tiny_spec, write_bars
from trainer.bars.frame import Bars
from trainer.pipeline.attempt import EXIT
from trainer.pipeline.job import run_job
from trainer.stop_signals import EARLY, expect_parent

SWALLOWS = """
import os, signal, time
try:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)
except Exception:
    raise ImportError("install optree") from None
"""
"""A Keras that is stopped while it imports something optional."""


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_a_stop_in_the_middle_of_an_import_is_no_bug(log_format: str, tmp_path: Path) -> None:
    (tmp_path / "keras").mkdir()
    (tmp_path / "keras" / "__init__.py").write_text(SWALLOWS)
    arguments = job_arguments(tiny_spec(tmp_path, "WAVE"), "r1", str(tmp_path / "store"), "--log-format", log_format)
    command = [sys.executable, "-m", "trainer.cli", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=PATIENCE)
    assert done.returncode == 143, done.stderr
    assert "stopped before training; the next attempt starts it" in done.stderr.splitlines()[-1]


class Interrupted:
    """A source whose library makes another error of a signal."""

    name, synthetic, live = "sample", True, False

    def fetch(self, symbol: str, timeframe: str, market: str, start_ms: int, end_ms: int) -> Bars:
        """Raise what nobody expects."""
        raise ImportError("install it")


def test_a_stop_while_bars_are_loaded_is_no_bug_in_the_attempts_report(tmp_path: Path) -> None:
    store, spec = MemoryStore(), tiny_spec(tmp_path, "WAVE")
    context = replace(DEVICE, source=Interrupted(), ended_by=lambda error: Stopped(EARLY))
    with pytest.raises(Stopped):
        run_job(spec, store, "r1", context)
    report = ExitReport.from_bytes(store.get(keys.attempt("r1", "WAVE-fast", 1, EXIT)), EXIT)
    assert (report.code, report.category) == (143, "stopped")


def test_a_training_whose_parent_was_killed_was_not_stopped_on_purpose(tmp_path: Path) -> None:
    write_bars(tmp_path, "WAVE", sine_close())
    store, spec = MemoryStore(), tiny_spec(tmp_path, "WAVE")
    expect_parent(os.getppid() + 1)
    try:
        with pytest.raises(Stopped, match="what starts trainings was killed"):
            run_job(spec, store, "r1", replace(DEVICE, should_stop=lambda: True))
    finally:
        expect_parent(os.getppid())
    report = ExitReport.from_bytes(store.get(keys.attempt("r1", "WAVE-fast", 1, EXIT)), EXIT)
    assert (report.code, report.category) == (143, "killed")
    facts = AttemptReader(store, "r1").read_job("WAVE-fast")
    standing = classify_job(facts, report.finished.timestamp(), 0.0, Rules())
    assert (standing.state, standing.attempt, standing.alone) == ("free", 2, True)
