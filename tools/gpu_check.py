"""What a machine with a GPU has to show, in one command: atb doctor, the benchmark, the cluster suite.

    python -m tools.gpu_check [--output FOLDER]

Needs no network, and under ten minutes: each part is ended at its limit. After each part gpu-check.json and
gpu-check.md are written to the folder. Ends with 0 where every part that could run was well, 21 where there is no GPU,
else with 1.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).resolve().parents[1]
NO_GPU = 21
_TAIL = 60
"""Lines of a part's output that are kept."""


@dataclass(frozen=True)
class Part:
    """One command, ended after ``limit`` seconds. ``skipped`` says why it can't run here."""

    name: str
    command: tuple[str, ...]
    limit: float
    skipped: str = ""


@dataclass(frozen=True)
class Finding:
    """What a part came to; ``output`` is its end."""

    name: str
    outcome: Literal["ok", "failed", "no GPU", "too slow", "skipped"]
    seconds: float
    code: int | None
    output: tuple[str, ...]


def parts(environment: Mapping[str, str], jax: bool) -> list[Part]:
    """What is run here, and what is left out and why. The limits add up to less than ten minutes."""
    python = sys.executable
    cluster = "" if environment.get("ATB_TEST_KUBECONFIG") else "ATB_TEST_KUBECONFIG names no cluster"
    suite = ("-m", "pytest", "-m", "cluster", "--quiet", "-p", "no:randomly", "tests/launcher", "tests/chart")
    return [
        Part("doctor", (python, "-m", "trainer.cli", "doctor", "--accelerator", "gpu"), 90),
        Part(
            "benchmark",
            (python, "-m", "benchmarks.gpu", "--seconds", "2"),
            150,
            "" if jax else 'JAX is not here: pip install "jax[cuda12]"',
        ),
        Part("cluster", (python, *suite), 340, cluster),
    ]


def run_part(part: Part) -> Finding:
    """Run one part to its end or to its limit; nothing of it is left running."""
    if part.skipped:
        return Finding(part.name, "skipped", 0.0, None, (part.skipped,))
    began = time.monotonic()
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(part.command, stdout=out, stderr=subprocess.STDOUT, cwd=ROOT, start_new_session=True)
        try:
            code: int | None = process.wait(part.limit)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            _end_group(process)
        out.seek(0)
        lines = out.read().decode("utf-8", "replace").splitlines()
    took = round(time.monotonic() - began, 1)
    output = tuple(lines[-_TAIL:])
    if code is None:
        return Finding(part.name, "too slow", took, None, output)
    absent = code == NO_GPU or (code == 0 and any(line.startswith("no GPU seen") for line in lines))
    return Finding(part.name, "no GPU" if absent else "ok" if code == 0 else "failed", took, code, output)


def check(chosen: Sequence[Part], folder: Path) -> list[Finding]:
    """Run the parts in order; the reports are rewritten after each, so that a kill loses one part at most."""
    folder.mkdir(parents=True, exist_ok=True)
    found: list[Finding] = []
    for part in chosen:
        found.append(run_part(part))
        print(f"{part.name}: {found[-1].outcome}, {found[-1].seconds:.0f} s", flush=True)
        report = {"schema_version": "1.0", "parts": [asdict(each) for each in found]}
        _write(folder / "gpu-check.json", json.dumps(report, indent=2, ensure_ascii=False) + "\n")
        _write(folder / "gpu-check.md", "\n".join(markdown(found)) + "\n")
    return found


def markdown(found: Sequence[Finding]) -> Iterator[str]:
    """A table of the parts, and below it the end of what each printed."""
    yield from ("| Part | Outcome | Seconds | Exit |", "|---|---|---:|---:|")
    for each in found:
        yield f"| {each.name} | {each.outcome} | {each.seconds:.0f} | {'' if each.code is None else each.code} |"
    for each in found:
        yield from ("", f"## {each.name}", "", "```", *(line.replace("```", "'''") for line in each.output), "```")


def exit_code(found: Sequence[Finding]) -> int:
    """The command's."""
    outcomes = {each.outcome for each in found}
    if outcomes & {"failed", "too slow"}:
        return 1
    return NO_GPU if "no GPU" in outcomes else 0


def _end_group(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def _write(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}.part")
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, path)


def main() -> None:
    """Check, and end with what was found."""
    from importlib.util import find_spec

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "gpu-check", metavar="FOLDER")
    arguments = parser.parse_args()
    found = check(parts(os.environ, find_spec("jax") is not None), arguments.output)
    print(arguments.output / "gpu-check.md")
    sys.exit(exit_code(found))


if __name__ == "__main__":
    main()
