from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from atb.documents.comparison import Comparison
from atb.errors import SpecError
from atb.storage import DirectoryStore
from tests.trainer.pipeline.market import ROWS, START, sine_close, write_bars
from trainer.cli import atb


def compare(folder: Path, *words: str) -> Result:
    window = ["--days", str(ROWS / 24), "--as-of", (START + timedelta(hours=ROWS)).isoformat()]
    tiny = ["--set", "epochs=1", "--set", "sequence-length=16", "--source", f"files:{folder}"]
    return CliRunner().invoke(atb, ["compare", *words, *window, *tiny, "--run", "c", "--store", str(folder / "store")])


def test_a_preset_is_trained_in_its_own_process_and_its_tables_are_kept(tmp_path: Path) -> None:
    write_bars(tmp_path, "WAVE", sine_close())
    done = compare(tmp_path, "WAVE", "--presets", "fast")
    assert done.exit_code == 0
    for words in ("stage, seconds", "skill over the last close", "linear skill", "shared test rows: WAVE"):
        assert words in done.stdout
    store = DirectoryStore(tmp_path / "store")
    found = Comparison.from_bytes(store.get("runs/c/comparison.json"), "comparison")
    assert [each.preset for each in found.trained] == ["fast"]
    assert store.get("runs/c/comparison.png").startswith(b"\x89PNG")


def test_a_training_that_fails_ends_the_comparison_with_its_code(tmp_path: Path) -> None:
    both_ends = ["--set", "start=2026-01-01", "--set", "end=2026-01-02", "--source", f"files:{tmp_path}"]
    done = CliRunner().invoke(atb, ["compare", "NOWHERE", "--presets", "fast", *both_ends, "--store", str(tmp_path)])
    assert done.exit_code == 10
    assert "NOWHERE fast ended with 10; continue with: atb" in done.stderr


def test_ctrl_c_names_the_command_that_continues(tmp_path: Path) -> None:
    words = ["compare", "BTCUSDT", "--source", "sample", "--presets", "fast", "--store", str(tmp_path), "--run", "c"]
    process = subprocess.Popen(
        [sys.executable, "-m", "trainer.cli", *words], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    with process:
        assert process.stderr is not None
        while "1 of 1" not in (line := process.stderr.readline()):
            assert line, "it ended before its first training"
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        *_, last = process.stderr.read().splitlines()
    assert "stopped; continue with: atb compare BTCUSDT" in last
    assert "--run c" in last
    assert "--as-of" in last
    assert process.returncode == 143


def test_an_invalid_setting_is_refused_before_training(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="'epochs' is not NAME=VALUE"):
        raise compare(tmp_path, "WAVE", "--set", "epochs").exception or AssertionError
