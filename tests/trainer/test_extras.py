"""What other libraries load only because it is there stays out."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from trainer.extras import hidden

ROOT = Path(__file__).parents[2]


def test_a_hidden_package_can_not_be_found_and_is_back_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "some_extra.py").write_text("answer = 42")
    monkeypatch.syspath_prepend(tmp_path)
    with hidden("some_extra"), pytest.raises(ModuleNotFoundError):
        importlib.import_module("some_extra")
    assert importlib.import_module("some_extra").answer == 42
    with hidden("some_extra"):  # it is loaded, and so is there
        assert importlib.import_module("some_extra").answer == 42


def test_a_training_loads_neither_pandas_nor_scikit_learn(tmp_path: Path) -> None:
    code = f"""
import sys
import trainer.pipeline.job
from datetime import UTC, datetime
from atb.contract.spec import resolve_spec
from trainer.pipeline.learn import load_training_data
from trainer.pipeline.stages import StageClock
from atb.storage import open_store
spec = resolve_spec("BTCUSDT", "fast", {{"source": "sample", "days": 40}}, now=datetime(2026, 1, 1, tzinfo=UTC))
for cached in (False, True):
    assert load_training_data(spec, open_store({str(tmp_path)!r}), StageClock()).cached == cached
print(sorted({{"pandas", "scipy", "sklearn"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "[]\n", done.stderr
