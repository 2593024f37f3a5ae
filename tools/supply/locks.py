"""Resolve the libraries of each image with uv, and write them to locks/ with the hashes that pip verifies.

An image installs the files of ``IMAGES``, which have no library in common. Versions are those of constraints.txt and
constraints-gpu.txt; what they leave out is the newest.
"""

from __future__ import annotations

import subprocess
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ROOT / "locks"
IMAGES: dict[str, tuple[str, ...]] = {
    "launcher": ("launcher.txt",),
    "trainer-cpu": ("launcher.txt", "trainer.txt", "cpu.txt"),
    "trainer-gpu": ("launcher.txt", "trainer.txt", "gpu.txt"),
}
_ASYNCHRONOUS = "aiohappyeyeballs aiohttp aiohttp-retry aiosignal attrs frozenlist multidict propcache yarl"
UNUSED = (*_ASYNCHRONOUS.split(), "grpcio", "libclang", "nvidia-curand-cu12", "nvidia-nccl-cu12", "setuptools")
"""Required by libraries and loaded by nothing here. For Kubernetes' client: its asynchronous half. For
TensorFlow's wheels: a debugger's transport, a C++ parser, random numbers that TensorFlow makes itself, NCCL, without
which replicas add up their gradients on one GPU (``trainer/fit/device.py``), and what builds packages."""
HEAD = "# Written by make locks from pyproject.toml and the constraints.\n"

Pins = Mapping[str, str]
"""Each library's lines in a requirements file, hashes included, by name."""


def write_locks(uv: Sequence[str]) -> None:
    """Resolve anew and write locks/. ``uv``: the command. Raises CalledProcessError where uv finds no solution."""
    pins = {extra: parse(_resolve(uv, extra)) for extra in ("", "train-cpu", "gpu")}
    files = split(pins[""], pins["train-cpu"], pins["gpu"])
    build = parse(_compile(uv, "-", "\n".join(_build_requirements())))
    LOCKS.mkdir(exist_ok=True)
    for name, content in {**files, "build.txt": build}.items():
        (LOCKS / name).write_text(HEAD + "".join(content[each] for each in sorted(content)))


def split(launcher: Pins, cpu: Pins, gpu: Pins) -> dict[str, Pins]:
    """Each file's libraries. Raises ValueError where two images would have one library in two versions."""
    for name in cpu.keys() & gpu.keys() | launcher.keys() & (cpu.keys() | gpu.keys()):
        versions = {pins[name] for pins in (launcher, cpu, gpu) if name in pins}
        if len(versions) > 1:
            raise ValueError(f"{name} would differ between the images: {sorted(line.split()[0] for line in versions)}")
    shared = cpu.keys() & gpu.keys() - launcher.keys()
    return {
        "launcher.txt": launcher,
        "trainer.txt": {name: cpu[name] for name in shared},
        "cpu.txt": {name: cpu[name] for name in cpu.keys() - gpu.keys() - launcher.keys()},
        "gpu.txt": {name: gpu[name] for name in gpu.keys() - cpu.keys() - launcher.keys()},
    }


def parse(text: str) -> dict[str, str]:
    """The libraries of a requirements file, each with its indented lines."""
    found: dict[str, str] = {}
    for line in text.splitlines(keepends=True):
        if line[:1].isalnum():
            name = line.split("==")[0]
            found[name] = line
        elif line.startswith(" "):
            found[name] += line
    return found


def _resolve(uv: Sequence[str], extra: str) -> str:
    left_out = [f"--no-emit-package={name}" for name in UNUSED]
    return _compile(uv, "pyproject.toml", "", *left_out, *(("--extra", extra) if extra else ()))


def _compile(uv: Sequence[str], source: str, given: str, *options: str) -> str:
    command = [*uv, "pip", "compile", source, *options, "--universal", "--python-version", "3.11", "--generate-hashes"]
    command += ["--constraint", "constraints.txt", "--constraint", "constraints-gpu.txt"]
    command += ["--no-header", "--no-annotate", "--quiet"]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, input=given, cwd=ROOT).stdout


def _build_requirements() -> list[str]:
    requires: list[str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    return requires
