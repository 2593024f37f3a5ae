"""Many symbols on this machine: one ``atb-launch`` beside as many reference runs one after the other.

    python -m benchmarks.fleet --symbols 8 --preset fast --epochs 12

Prints seconds for all, seconds a symbol, the ratio, and the most private memory that one of our children had.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil

from benchmarks.bars import add_bars, any_bars
from benchmarks.train import machine, run_reference


def run_launcher(bars: Path, symbols: list[str], preset: str, window: tuple[datetime, datetime], epochs: int) -> float:
    """Seconds for one fan-out on the local backend, from process start to its end."""
    with tempfile.TemporaryDirectory() as store:
        command = [sys.executable, "-m", "launcher.cli", "--backend", "local", "--source", f"files:{bars}"]
        command += ["--symbols", ",".join(symbols), "--preset", preset, "--set", f"epochs={epochs}"]
        command += ["--start", window[0].isoformat(), "--as-of", window[1].isoformat(), "--store", store]
        began = time.monotonic()
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        if answer.returncode:
            raise SystemExit(f"atb-launch failed: {answer.stdout[-1000:]}{answer.stderr[-1000:]}")
        return time.monotonic() - began


class PrivateMemory:
    """Watches all processes below this one for the most unique memory (USS) that a grandchild's child held, in MB."""

    def __init__(self) -> None:
        self.peak = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> PrivateMemory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        here = psutil.Process()
        while not self._over.wait(0.5):
            for child in here.children(recursive=True):
                try:
                    if child.ppid() != here.pid and child.parent().ppid() != here.pid:  # type: ignore[union-attr]
                        self.peak = max(self.peak, child.memory_full_info().uss / 1e6)
                except (psutil.Error, AttributeError):
                    continue


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_bars(parser)
    parser.add_argument("--symbols", type=int, default=8)
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--days", type=int, default=180)
    parser.add_argument("--as-of", default="2026-03-01")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--out", type=Path, help="write fleet.json to this folder")
    arguments = parser.parse_args()
    as_of = datetime.fromisoformat(arguments.as_of).replace(tzinfo=UTC)
    window = (as_of - timedelta(days=arguments.days), as_of)
    scratch = tempfile.TemporaryDirectory()
    bars = any_bars(arguments.bars, Path(scratch.name), *window)
    files = sorted(bars.glob("*_1h.parquet"))[: arguments.symbols]
    print(
        f"{machine()}; {len(files)} symbols, {arguments.preset}, {arguments.days} days of hourly bars, "
        f"{arguments.epochs} epochs"
    )
    with PrivateMemory() as memory:
        ours = run_launcher(
            bars, [path.name.split("_")[0] for path in files], arguments.preset, window, arguments.epochs
        )
    reference = sum(run_reference(path, arguments.preset, window, arguments.epochs)["wall"] for path in files)
    print(f"{'':<34}{'reference':>11}{'atb-launch':>12}{'ratio':>8}")
    print(f"{'all symbols, s':<34}{reference:>11.1f}{ours:>12.1f}{reference / ours:>8.2f}")
    print(f"{'a symbol, s':<34}{reference / len(files):>11.1f}{ours / len(files):>12.1f}")
    print(f"{'most private memory of a child, MB':<34}{'':>11}{memory.peak:>12.0f}")
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        found = {"machine": machine(), "symbols": len(files), "preset": arguments.preset, "epochs": arguments.epochs}
        found |= {"reference_s": reference, "ours_s": ours, "private_mb": memory.peak, "cores": os.cpu_count()}
        (arguments.out / "fleet.json").write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
