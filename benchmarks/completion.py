"""How long a shell waits for a completion.

    python -m benchmarks.completion

Prints the median seconds, and those of CPU, that each takes: Python by itself, Python that imports click, and the
completion of runs, jobs, symbols and presets in a store of RUNS runs, as bash, zsh and fish ask for them.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.train import machine

RUNS, SYMBOLS, TIMES = 365, 500, 11
PROGRAMS = Path(sys.executable).parent
ASKED = (
    ("atb-launch", "status 2026"),
    ("atb-launch", "why 20260131-060000 SYM4"),
    ("atb-launch", "--symbols SYM001USDT,SYM"),
    ("atb-launch", "--preset fast,b"),
    ("atb", "predict SYM4"),
    ("atb", "train model SYM001USDT --pre"),
)


def make_store(folder: Path) -> None:
    """Folders alone: nothing else is read."""
    names = [f"SYM{number:03d}USDT" for number in range(SYMBOLS)]
    for number in range(RUNS):
        (folder / "runs" / f"2026{number // 28 + 1:02d}{number % 28 + 1:02d}-060000").mkdir(parents=True)
    for name in names:
        (folder / "models" / name).mkdir(parents=True)
        (folder / "runs" / "20260131-060000" / "jobs" / f"{name}-fast").mkdir(parents=True)


def measure(command: Sequence[str], variables: Mapping[str, str]) -> tuple[float, float, int]:
    """Median seconds and seconds of CPU; the characters printed."""
    seconds, cpu, printed = [], [], 0
    for _ in range(TIMES):
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, check=True)
        seconds.append(time.perf_counter() - began)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        printed = len(done.stdout)
    return statistics.median(seconds), statistics.median(cpu), printed


def main() -> None:
    """Print one line for each."""
    print(machine())
    with tempfile.TemporaryDirectory() as name:
        make_store(Path(name))
        for words in ("pass", "import click"):
            wall, cpu, _ = measure([sys.executable, "-c", words], {})
            print(f"{1000 * wall:7.0f} ms  {1000 * cpu:5.0f} ms of CPU  python -c '{words}'")
        for shell in ("bash", "zsh", "fish"):
            for program, words in ASKED:
                variable = f"_{program.upper().replace('-', '_')}_COMPLETE"
                last = words.split()[-1] if shell == "fish" else str(len(words.split()))
                variables = {variable: f"{shell}_complete", "COMP_WORDS": f"{program} {words}", "COMP_CWORD": last}
                wall, cpu, printed = measure([str(PROGRAMS / program)], {**variables, "ATB_STORE": name})
                found = "" if printed else ": NOTHING FOUND"
                print(f"{1000 * wall:7.0f} ms  {1000 * cpu:5.0f} ms of CPU  {shell}: {program} {words}{found}")


if __name__ == "__main__":
    main()
