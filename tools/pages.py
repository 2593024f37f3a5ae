"""The command blocks of README.md and docs/, as they are printed."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def pages() -> list[Path]:
    """Every page of the repository that people read."""
    return sorted(
        [
            *ROOT.glob("*.md"),
            *(ROOT / "docs").glob("*.md"),
            *(ROOT / "helm").rglob("*.md"),
            *(ROOT / "k8s").rglob("*.md"),
        ]
    )


def commands(page: Path) -> list[str]:
    """The commands of a page's ``sh`` blocks in their order, continued lines joined, without comments."""
    found = []
    for block in _BLOCK.findall(page.read_text(encoding="utf-8")):
        lines = block.replace("\\\n", " ").splitlines()
        found += [" ".join(line.split("  #")[0].split()) for line in lines if line.strip()]
    return found
