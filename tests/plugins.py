"""Installed packages with entry points, as pip leaves them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest


def install(
    site: Path, monkeypatch: pytest.MonkeyPatch, entries: Mapping[str, str], modules: Mapping[str, str]
) -> None:
    """A distribution ``my-parts 1.0`` in the folder. ``entries``: ``group/name`` → ``module:part``."""
    folder = site / "my_parts-1.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: my-parts\nVersion: 1.0\n")
    lines = [f"[{name.partition('/')[0]}]\n{name.partition('/')[2]} = {value}\n" for name, value in entries.items()]
    (folder / "entry_points.txt").write_text("".join(lines))
    for name, text in modules.items():
        (site / f"{name}.py").write_text(text)
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(str(site))
