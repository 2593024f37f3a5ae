"""Benchmarks in a clone without the real bars beside it."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from atb.storage import MemoryStore
from benchmarks.bars import any_bars
from trainer.bars.source import open_source

ROOT = Path(__file__).resolve().parents[2]


def test_speed_is_measured_on_made_up_bars_that_a_training_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = any_bars(None, tmp_path, datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC))
    assert "made-up bars; name real ones by --bars" in capsys.readouterr().out
    start, stop = (int(datetime(2026, month, 1, tzinfo=UTC).timestamp() * 1000) for month in (2, 3))
    bars = open_source(f"files:{folder}", MemoryStore()).fetch("BTCUSDT", "1h", "spot", start, stop)
    assert len(bars) == 28 * 24


@pytest.mark.parametrize("name", ["quality", "volatility"])
def test_what_measures_markets_says_in_one_line_that_it_needs_them(name: str, tmp_path: Path) -> None:
    words = [sys.executable, "-m", f"benchmarks.{name}", "--store", str(tmp_path / "s"), "--bars", str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "name a folder by --bars" in done.stderr
