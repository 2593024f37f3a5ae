"""What a later worker saves by the compiled code that an earlier one kept.

    python -m benchmarks.compile_cache --repeat 3

Each time, two workers do one training of ``fast`` one after the other, and share a folder as ``--compile-cache`` gives
them a volume: nothing is in it for the first one. Prints medians: seconds in the stage "training", and the CPU time of
the worker with its training.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from pathlib import Path
from typing import Any

from atb.contract.labels import COMPILE_CACHE_VARIABLE
from benchmarks.workers import CPU, TRAINING, compare_models, do_worker, measure_here


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    arguments.symbols = arguments.slots = 1
    print(f"one symbol × {arguments.epochs} epochs of fast; load {os.getloadavg()[0]:.1f}")
    found: dict[str, list[dict[str, Any]]] = {"first worker": [], "later worker": []}
    for _ in range(arguments.repeat):
        with tempfile.TemporaryDirectory() as folder:
            os.environ[COMPILE_CACHE_VARIABLE] = folder
            for runs in found.values():
                runs.append(measure_here(arguments, do_worker))
            size = sum(path.stat().st_size for path in Path(folder).rglob("*.pb@*"))
    compare_models(list(found.values()))
    for name in (TRAINING, CPU):
        first, later = (statistics.median(run[name] for run in runs) for runs in found.values())
        print(f"{name.strip():<20}{first:>8.2f} by the first worker, {later:.2f} by a later one")
    print(f"kept: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
