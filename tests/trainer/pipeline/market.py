"""Bars with a known answer, as files, and trainings on them that take seconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from atb.contract.spec import Spec, resolve_spec
from atb.documents.result import Result
from atb.storage import Store
from trainer.bars.frame import COLUMNS, Floats
from trainer.fit.device import prepare_device
from trainer.pipeline.job import RunContext, run_job

START = datetime(2026, 1, 1, tzinfo=UTC)
ROWS = 900
PLAIN = "tests.trainer.networks.own_nets:plain"
"""A net that is traced at once, where it does not matter which it is."""
DEVICE = RunContext(prepare_device("cpu", threads=1))


def sine_close(level: float = 100.0) -> Floats:
    """A wave of a day: what comes next follows from what was."""
    close: Floats = level * np.exp(0.05 * np.sin(2 * np.pi * np.arange(ROWS) / 24))
    return close


def walk_close(seed: int, level: float = 100.0) -> Floats:
    """A random walk: nothing follows from what was."""
    close: Floats = level * np.exp(np.cumsum(np.random.default_rng(seed).normal(scale=0.01, size=ROWS)))
    return close


def write_bars(folder: Path, symbol: str, close: Floats) -> None:
    """Hourly bars with this close, as a file that the source ``files:FOLDER`` finds."""
    opened = np.concatenate([close[:1], close[:-1]])
    high, low = np.maximum(opened, close) * 1.001, np.minimum(opened, close) * 0.999
    write_rows(folder, symbol, np.column_stack([opened, high, low, close, 100.0 + np.arange(len(close)) * 7 % 24]))


def write_rows(folder: Path, symbol: str, rows: Floats) -> None:
    """Hourly bars ``[n, 5]`` as such a file."""
    first = int(START.timestamp() * 1000)
    lines = [",".join(("timestamp", *COLUMNS))]
    for row, values in enumerate(rows):
        lines.append(",".join(map(repr, (first + 3_600_000 * row, *values.tolist()))))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{symbol}_1h.csv").write_text("\n".join(lines))


def tiny_spec(folder: Path, symbol: str, preset: str = "fast", **options: Any) -> Spec:
    """All rows of the file, short windows, few epochs."""
    window = {"source": f"files:{folder}", "start": START, "as_of": START + timedelta(hours=ROWS)}
    return resolve_spec(symbol, preset, {"sequence_length": 16, "epochs": 2, **window, **options})


def train(store: Store, run: str, spec: Spec) -> Result:
    """The committed result."""
    return run_job(spec, store, run, DEVICE)
