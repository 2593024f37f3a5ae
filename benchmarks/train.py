"""Our trainer beside the published way: same rows, net, batch, epochs and seed, in turn, medians and ratios.

    python -m benchmarks.train --bars FOLDER --presets fast,balanced --epochs 12 --repeat 3

Prints a table of whole jobs (process start to result) and stages, one of steps, and the largest difference of the two
loss curves over the first steps from equal weights and batches. Writes JSON and PNG with ``--out``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from atb.contract import keys
from atb.contract.presets import PRESET_NAMES, PRESETS
from atb.documents.result import Result
from atb.storage import DirectoryStore
from benchmarks.bars import add_bars, any_bars

STAGES = ("data loading", "features", "dataset", "training", "evaluation", "saving")
CURVE_STEPS = 50


def run_reference(bars: Path, preset: str, window: tuple[datetime, datetime], epochs: int) -> dict[str, Any]:
    """One job the published way, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.reference", "--bars", str(bars), "--preset", preset]
    command += ["--start", window[0].isoformat(), "--as-of", window[1].isoformat()]
    command += ["--epochs", str(epochs), "--patience", str(PRESETS_PATIENCE[preset])]
    began = time.monotonic()
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise SystemExit(f"the reference failed: {answer.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return found | {"wall": time.monotonic() - began}


def run_ours(bars: Path, preset: str, window: tuple[datetime, datetime], epochs: int) -> dict[str, Any]:
    """One job of ours, in a process of its own."""
    symbol = bars.stem.split("_")[0]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "trainer.cli", "train", "model", symbol, "--preset", preset]
        command += ["--source", f"files:{bars.parent}", "--store", folder, "--run", "bench", "--epochs", str(epochs)]
        command += ["--start", window[0].isoformat(), "--as-of", window[1].isoformat()]
        began = time.monotonic()
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        wall = time.monotonic() - began
        if answer.returncode:
            raise SystemExit(f"our trainer failed: {answer.stderr[-2000:]}")
        key = keys.result("bench", keys.job_id(symbol, preset))
        result = Result.from_bytes(DirectoryStore(folder).get(key), key)
        history = json.loads(DirectoryStore(folder).get(_history_key(result)))
    stages = {row.name: row.seconds for row in result.stages}
    return {
        "wall": wall,
        "stages": {"import": wall - stages["total"]} | {name: stages[name] for name in STAGES},
        "epochs": result.fit.epochs,
        "path": result.fit.path,
        "step_ms": 1000 / result.fit.steps_per_second,
        "loss": history["loss"],
        "val_loss": history["val_loss"],
        "rmse": result.metrics["rmse"],
        "peak_mb": result.peak_memory_bytes / 1e6,
        "memory_mb": result.peak_memory_bytes / 1e6 - import_memory_mb(),
    }


def _history_key(result: Result) -> str:
    return next(file.key for file in result.files if file.path == "history.json")


_IMPORT_MEMORY: list[float] = []


def import_memory_mb() -> float:
    """What a process holds that has only imported what a job imports."""
    if not _IMPORT_MEMORY:
        code = (
            "from trainer.own_process import own_imports\n"
            "from trainer.process_memory import peak_memory\n"
            "with own_imports():\n"
            "    import trainer.cli.train, trainer.fit.device, trainer.pipeline.job\n"
            "print(peak_memory() / 1e6)"
        )
        answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        _IMPORT_MEMORY.append(float(answer.stdout))
    return _IMPORT_MEMORY[0]


def compare_curves(preset: str) -> float:
    """The largest difference of a step's loss over the first steps: Keras' own ``train_on_batch`` against our path."""
    import keras
    import numpy as np

    from trainer.fit.device import prepare_device
    from trainer.fit.execution import XLA
    from trainer.fit.steps import Table, compile_training
    from trainer.networks.build import build_network

    prepare_device("cpu")
    chosen = PRESETS[preset]  # type: ignore[index]
    rng = np.random.default_rng(1)
    table = Table(rng.normal(size=(3_000, 9)).astype(np.float32), rng.normal(size=3_000).astype(np.float32))
    ends = rng.integers(chosen.sequence_length, 3_000, (CURVE_STEPS, chosen.batch_size)).astype(np.int32)
    windows = np.arange(1 - chosen.sequence_length, 1)
    plain = build_network(chosen.model_type, chosen.sequence_length, 9, 42)
    plain.compile(optimizer=keras.optimizers.Adam(chosen.learning_rate), loss="mse")
    ours = build_network(chosen.model_type, chosen.sequence_length, 9, 42)
    train = compile_training(ours, keras.optimizers.Adam(chosen.learning_rate), table, chosen.batch_size, XLA)
    worst = 0.0
    for step in range(CURVE_STEPS):
        batch = table.features[ends[step][:, None] + windows]
        plain.reset_metrics()
        expected = float(plain.train_on_batch(batch, table.target[ends[step]][:, None]))
        worst = max(worst, abs(train(ends, step, 1) - expected))
    return worst


PRESETS_PATIENCE: dict[str, int] = {name: preset.patience for name, preset in PRESETS.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_bars(parser)
    parser.add_argument("--symbol", default="BTCUSDT")
    parser.add_argument("--presets", default="fast,balanced")
    parser.add_argument("--days", type=int, default=180)
    parser.add_argument("--as-of", default="2026-03-01", help="where the window ends")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--out", type=Path, help="write train.json and train.png to this folder")
    arguments = parser.parse_args()
    as_of = datetime.fromisoformat(arguments.as_of).replace(tzinfo=UTC)
    window = (as_of - timedelta(days=arguments.days), as_of)
    found: dict[str, Any] = {"machine": machine(), "days": arguments.days, "epochs": arguments.epochs, "presets": {}}
    print(
        f"{found['machine']}; {arguments.days} days of hourly bars, {arguments.epochs} epochs, "
        f"median of {arguments.repeat}"
    )
    scratch = tempfile.TemporaryDirectory()
    bars = any_bars(arguments.bars, Path(scratch.name), *window) / f"{arguments.symbol}_1h.parquet"
    for preset in [name for name in PRESET_NAMES if name in arguments.presets.split(",")]:
        runs: dict[str, list[dict[str, Any]]] = {"reference": [], "ours": []}
        for _ in range(arguments.repeat):
            runs["reference"].append(run_reference(bars, preset, window, arguments.epochs))
            runs["ours"].append(run_ours(bars, preset, window, arguments.epochs))
        difference = compare_curves(preset)
        found["presets"][preset] = {"runs": runs, "curve_difference": difference}
        _print_preset(preset, runs, difference)
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / "train.json").write_text(json.dumps(found, indent=2) + "\n")
        _draw(found, arguments.out / "train.png")


def _median(runs: list[dict[str, Any]], *path: str) -> float:
    values = []
    for run in runs:
        value: Any = run
        for name in path:
            value = value[name]
        values.append(float(value))
    return statistics.median(values)


def _print_preset(preset: str, runs: dict[str, list[dict[str, Any]]], difference: float) -> None:
    reference, ours = runs["reference"], runs["ours"]
    print(f"\n{preset:<20}{'reference':>12}{'ours':>12}{'ratio':>8}")
    rows: list[tuple[str, tuple[str, ...]]] = [("whole job, s", ("wall",))]
    rows += [(f"  {name}, s", ("stages", name)) for name in ("import", *STAGES)]
    rows += [
        ("step, ms", ("step_ms",)),
        ("peak memory, MB", ("peak_mb",)),
        ("  above imports, MB", ("memory_mb",)),
        ("epochs", ("epochs",)),
    ]
    rows += [("test RMSE", ("rmse",))]
    for label, path in rows:
        a, b = _median(reference, *path), _median(ours, *path)
        print(f"{label:<20}{a:>12.2f}{b:>12.2f}{a / b if b else 0:>8.2f}")
    print(f"{'path':<20}{'':>12}{ours[0]['path']:>12}")
    print(f"loss curves of the first {CURVE_STEPS} steps differ by at most {difference:.1e}")


def _draw(found: dict[str, Any], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 1 + 1.6 * len(found["presets"])), layout="constrained")
    axes = figure.subplots(len(found["presets"]), 2, squeeze=False)
    for (stages, curve), (preset, entry) in zip(axes, found["presets"].items(), strict=True):
        for row, who in enumerate(("ours", "reference")):
            left = 0.0
            for number, name in enumerate(("import", *STAGES)):
                seconds = _median(entry["runs"][who], "stages", name)
                stages.barh(row, seconds, left=left, color=f"C{number}", label=name if not row else None)
                left += seconds
            run = entry["runs"][who][0]
            curve.plot(run["val_loss"], label=who)
        stages.set_yticks([0, 1], ["ours", "reference"])
        stages.set_title(f"{preset}: seconds by stage", loc="left", fontsize=10)
        curve.set_title("validation loss by epoch", loc="left", fontsize=10)
        curve.legend(fontsize=8, frameon=False, loc="upper right")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=7, fontsize=8, frameon=False)
    figure.savefig(path, dpi=120)


def machine() -> str:
    """What was measured on, for people."""
    return f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}"


if __name__ == "__main__":
    main()
