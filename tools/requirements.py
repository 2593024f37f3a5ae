"""Print what an extra of pyproject.toml requires, one a line, so that an image's libraries don't wait for its code.

python tools/requirements.py pyproject.toml gpu
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(\[(?P<extras>[^]]*)\])?")


def requirements(project: Mapping[str, Any], extras: list[str]) -> list[str]:
    """The project's dependencies and those of its extras, with extras of the project itself resolved."""
    table = project["project"]
    found = list(table["dependencies"])
    for extra in extras:
        for line in table["optional-dependencies"][extra]:
            match = _REQUIREMENT.match(line)
            assert match is not None
            if match["name"] == table["name"]:
                inner = [name.strip() for name in (match["extras"] or "").split(",") if name.strip()]
                found += requirements(project, inner)
            else:
                found.append(line)
    return sorted(set(found))


if __name__ == "__main__":
    path, *names = sys.argv[1:]
    print("\n".join(requirements(tomllib.loads(Path(path).read_text()), names)))
