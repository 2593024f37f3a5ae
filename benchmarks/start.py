"""How long people wait before anything happens.

    python -m benchmarks.start
    python -m benchmarks.start --imports

Prints medians of: ``atb-launch --help``, a dry-run of 1,000 symbols, and process start to the first training step for
one training by itself and for a child of the local backend's preloaded parent. With ``--imports``: what a training
imports, as ``trainer.own_process`` has it and as Keras and TA-Lib do by themselves, in seconds and in memory.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from atb.contract import keys
from atb.contract.spec import resolve_spec
from atb.documents.result import Result
from atb.storage import DirectoryStore
from benchmarks.train import machine

LAUNCH = [sys.executable, "-m", "launcher.cli"]


def timed(command: list[str]) -> float:
    """Seconds that a command takes; it must succeed."""
    began = time.monotonic()
    subprocess.run(command, capture_output=True, check=True)
    return time.monotonic() - began


def first_step(command: list[str], store: Path, run: str) -> float:
    """Seconds from process start to the end of the one epoch's training, of a job of one step."""
    began = time.time()
    subprocess.run([*command, "--store", str(store), "--run", run], capture_output=True, check=True)
    key = keys.result(run, keys.job_id("BTCUSDT", "fast"))
    result = Result.from_bytes(DirectoryStore(store).get(key), key)
    until_training = {"data loading", "features", "dataset", "training"}
    inside = sum(stage.seconds for stage in result.stages if stage.name in until_training)
    return result.started.timestamp() - began + inside


IMPORTS = """
import time
began = time.perf_counter()
{head}
    import trainer.cli.train, trainer.fit.device, trainer.pipeline.job
from trainer.process_memory import peak_memory
print(time.perf_counter() - began, peak_memory() / 1e6)
"""
HEADS = {
    "imports, as a training": "from trainer.own_process import own_imports\nwith own_imports():",
    "imports, all optional ones": "from trainer.process_memory import gc_frozen\nwith gc_frozen():",
}


def compare_imports(repeat: int) -> None:
    """Print seconds and MB of both ways, taken in turn."""
    found: dict[str, list[tuple[float, float]]] = {label: [] for label in HEADS}
    for _ in range(repeat):
        for label, head in HEADS.items():
            command = [sys.executable, "-c", IMPORTS.format(head=head)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            seconds, megabytes = map(float, done.stdout.split())
            found[label].append((seconds, megabytes))
    print(f"{machine()}; median of {repeat}")
    for label, values in found.items():
        seconds, megabytes = (statistics.median(column) for column in zip(*values, strict=True))
        print(f"{label:<28}{seconds:>8.2f} s {megabytes:>8.0f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--out", type=Path, help="write start.json to this folder")
    parser.add_argument("--imports", action="store_true", help="only what is imported")
    arguments = parser.parse_args()
    if arguments.imports:
        compare_imports(arguments.repeat)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "symbols").write_text("\n".join(f"S{number:04}USDT" for number in range(1_000)))
        plan = [*LAUNCH, "--symbols", f"@{folder / 'symbols'}", "--source", "sample", "--backend", "local", "--dry-run"]
        options = {"epochs": 1, "batch_size": 1_000, "source": "sample", "onnx": False, "days": 60}
        spec = resolve_spec("BTCUSDT", "fast", options).to_bytes().decode()
        alone = [sys.executable, "-m", "trainer.cli", "train", "job", spec]
        forked = [*LAUNCH, "--symbols", "BTCUSDT", "--preset", "fast", "--backend", "local", "--force"]
        for option, value in options.items():
            forked += ["--set", f"{option}={value}"]
        counter = iter(range(1_000))
        measures: dict[str, Callable[[], float]] = {
            "atb-launch --help": lambda: timed([*LAUNCH, "--help"]),
            "dry-run of 1,000 symbols": lambda: timed([*plan, "--store", str(folder / "store")]),
            "first step, atb train": lambda: first_step(alone, folder / "store", f"alone-{next(counter)}"),
            "first step, atb-launch": lambda: first_step(forked, folder / "store", f"forked-{next(counter)}"),
        }
        found = {label: [measure() for _ in range(arguments.repeat)] for label, measure in measures.items()}
    print(f"{machine()}; median, least and most of {arguments.repeat}")
    for label, seconds in found.items():
        print(f"{label:<28}{statistics.median(seconds):>8.2f} s   {min(seconds):.2f} … {max(seconds):.2f}")
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / "start.json").write_text(json.dumps({"machine": machine(), "seconds": found}, indent=2) + "\n")


if __name__ == "__main__":
    main()
