"""The five-minute path: every command of docs/start.md as it is printed, but for installing and downloading, timed.

    python -m benchmarks.first_model --bars bars

``--bars``: the folder that the page's download fills. Prints the seconds of each command and of all, as the clock has
them and of CPU time.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.train import machine
from tools.pages import ROOT, commands

PAGE = ROOT / "docs" / "start.md"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bars", type=Path, required=True)
    bars = parser.parse_args().bars.resolve()
    if not any(bars.glob("BTCUSDT-1h-*.zip")):
        sys.exit(f"{bars} has no BTCUSDT-1h-….zip; {PAGE.name} says how to get them")
    print(machine())
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "bars").symlink_to(bars)
        for line in commands(PAGE):
            if line.startswith("atb"):
                begun, before = time.monotonic(), cpu_seconds()
                environment = {**os.environ, "PATH": path}
                done = subprocess.run(["sh", "-c", line], cwd=folder, env=environment, capture_output=True, check=False)
                if done.returncode:
                    sys.exit(f"{line}: exit {done.returncode}\n{done.stderr.decode()}")
                print_row(time.monotonic() - begun, cpu_seconds() - before, line)
    print_row(time.monotonic() - started, cpu_seconds(), "in all")


def cpu_seconds() -> float:
    """What the commands have taken so far, on all cores."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def print_row(seconds: float, cpu: float, what: str) -> None:
    """One row, at once."""
    print(f"{seconds:6.1f} s {cpu:6.1f} s of CPU  {what}", flush=True)


if __name__ == "__main__":
    main()
