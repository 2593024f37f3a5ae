"""What XLA has compiled, kept for later workers in a folder that they share, such as a mounted volume.

XLA itself reads whatever lies in its folder, and a damaged file ends every training of that net. So each worker has a
folder of its own for XLA, and the shared one holds copies that are named by their sha256: a copy that does not match,
because a disk was full or a writer was killed, is removed and compiled again. Nothing here fails a training.
"""

from __future__ import annotations

import hashlib
import os
import platform
import secrets
from contextlib import suppress
from importlib import metadata
from pathlib import Path

MOST_FILES, MOST_BYTES = 200, 64 << 20
"""The newest of that many files are loaded, and none that is larger. One net's steps take about 1.5 MB."""
_ENDING = ".pb"


def shared_place(shared: str) -> Path:
    """The folder below ``shared`` for this TensorFlow and processor; XLA's names tell the nets apart."""
    return Path(shared, f"{tensorflow_version()}-{describe_processor()}")


def load_compiled(place: Path, folder: Path) -> None:
    """Copy what is whole in the shared ``place`` to XLA's ``folder``, and remove what is damaged."""
    with suppress(OSError):
        found = sorted(place.glob(f"*{_ENDING}@*"), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in found[:MOST_FILES]:
            name, _, digest = path.name.rpartition("@")
            data = path.read_bytes() if path.stat().st_size <= MOST_BYTES else b""
            if hashlib.sha256(data).hexdigest() == digest:
                (folder / name).write_bytes(data)
            else:
                path.unlink(missing_ok=True)


def keep_compiled(folder: Path, place: Path) -> None:
    """Copy what XLA has put into its ``folder`` to the shared ``place``, each file whole or not at all."""
    with suppress(OSError):
        place.mkdir(parents=True, exist_ok=True)
        kept = {path.name.rpartition("@")[0] for path in place.iterdir()}
        for path in folder.glob(f"*{_ENDING}"):  # XLA moves a file there once it is whole
            if path.name not in kept:
                _write_whole(place, path.name, path.read_bytes())


def _write_whole(place: Path, name: str, data: bytes) -> None:
    beside = place / f".{secrets.token_hex(8)}.part"
    try:
        beside.write_bytes(data)
        os.replace(beside, place / f"{name}@{hashlib.sha256(data).hexdigest()}")
    finally:
        beside.unlink(missing_ok=True)


def tensorflow_version() -> str:
    """``tensorflow-cpu-2.21.0``, without loading it."""
    for name in ("tensorflow-cpu", "tensorflow"):
        with suppress(metadata.PackageNotFoundError):
            return f"{name}-{metadata.version(name)}"
    return "tensorflow"


def describe_processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Equal for processors that run the same code: 12 hex digits of their model and abilities."""
    lines = cpuinfo.read_text().split("\n\n")[0].splitlines() if cpuinfo.exists() else []
    telling = ("model name", "flags", "Features", "CPU part", "CPU implementer")
    found = sorted(line for line in lines if line.split("\t")[0].strip() in telling)
    return hashlib.sha256("\n".join([platform.machine(), *found]).encode()).hexdigest()[:12]
