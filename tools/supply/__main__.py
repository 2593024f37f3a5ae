"""``python -m tools.supply locks|sbom|audit``, with the tools of the dependency group ``supply``."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.supply.audit import audit
from tools.supply.locks import IMAGES, LOCKS, ROOT, write_locks


def main() -> None:
    """Run the requested action; exits with the audit's code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["locks", "sbom", "audit"])
    parser.add_argument("--tools", type=Path, default=ROOT / ".tools" / "supply" / "bin")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "sbom")
    arguments = parser.parse_args()
    if arguments.what == "locks":
        write_locks([str(arguments.tools / "uv")])
    elif arguments.what == "sbom":
        for image in IMAGES:
            print(write_sbom(image, [str(arguments.tools / "cyclonedx-py")], arguments.output))
    else:
        found = audit([str(arguments.tools / "pip-audit")])
        print("\n".join(found.lines))
        sys.exit(found.exit_code)


def write_sbom(image: str, cyclonedx: list[str], folder: Path) -> Path:
    """The CycloneDX bill of materials of an image's Python libraries, from its locks. Returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{image}.cdx.json"
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as locked:
        locked.write("".join((LOCKS / name).read_text() for name in IMAGES[image]))
        locked.flush()
        command = [*cyclonedx, "requirements", locked.name, "--pyproject", "pyproject.toml", "--output-reproducible"]
        subprocess.run([*command, "--output-file", str(path.resolve())], check=True, cwd=ROOT)
    return path


if __name__ == "__main__":
    main()
