"""``atb.toml``: a project's own defaults, found upwards from the working directory, with named profiles."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from atb.contract.exits import one_line
from atb.errors import SpecError
from atb.options.table import SHARED, Row, table
from atb.options.text_file import read_text_file

NAME = "atb.toml"
PROFILES = "profiles"
_TYPES: dict[str, tuple[tuple[type, ...], str]] = {
    "bool": ((bool,), "true or false"),
    "int": ((int,), "a whole number"),
    "number": ((int, float), "a number"),
    "text": ((str, int, float), "text"),
}


@dataclass(frozen=True)
class Project:
    """What a project file says. ``values`` has the section and name of each option; ``places`` where it stands."""

    path: Path | None = None
    values: Mapping[tuple[str, str], Any] = field(default_factory=dict)
    places: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def get(self, section: str, name: str) -> Any:
        """The value of an option; None where the file does not have it."""
        return self.values.get((section, name))

    def section(self, section: str) -> dict[str, Any]:
        """All values of a section."""
        return {name: value for (of, name), value in self.values.items() if of == section}


def find_project(start: Path) -> Path | None:
    """The nearest ``atb.toml`` in the folder or above it."""
    return next((path for folder in (start, *start.parents) if (path := folder / NAME).is_file()), None)


def load_project(profile: str | None, start: Path | None = None) -> Project:
    """The project file with its profile over it; the file itself may name one. Raises SpecError with file and key."""
    path = find_project(start or Path.cwd())
    if path is None:
        if profile:
            raise SpecError(f"--profile {profile}: there is no {NAME} here or above")
        return Project()
    import tomllib  # not for a completion where there is no file

    try:
        text = read_text_file(path)
    except ValueError as error:
        raise SpecError(f"{path}: can't read the file: {error}") from None
    try:
        read = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else one_line(str(error))
        raise SpecError(f"{path} is not TOML: {reason}") from None
    profiles = read.pop(PROFILES, {})
    if not isinstance(profiles, dict) or not all(isinstance(each, dict) for each in profiles.values()):
        raise SpecError(f"{path}: {PROFILES} holds a table for each profile, like [{PROFILES}.gpu.cluster]")
    layers = {name: dict(_read_layer(path, each, f"{PROFILES}.{name}.")) for name, each in profiles.items()}
    values = dict(_read_layer(path, read, ""))
    places = dict.fromkeys(values, f"{path}")
    profile = profile or values.get((SHARED, "profile"))
    if profile:
        if profile not in layers:
            known = f"it has {', '.join(layers)}" if layers else "it has none"
            raise SpecError(f"{path}: there is no profile {profile!r}; {known}")
        values |= layers[profile]
        places |= dict.fromkeys(layers[profile], f"{path}, profile {profile}")
    return Project(path, values, places)


def _read_layer(path: Path, read: Mapping[str, Any], head: str) -> Iterator[tuple[tuple[str, str], Any]]:
    """Each option of a layer, checked. Raises SpecError."""
    known = {(row.section, row.name): row for row in table()}
    sections = {row.section for row in known.values()}

    def walk(section: str, values: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], Any]]:
        for written, value in values.items():
            name = written.replace("-", "_")
            inner = f"{section}.{written}".lstrip(".")
            row = known.get((section, name))
            if row is not None and not (isinstance(value, dict) and row.type == "text"):
                yield (section, name), _check(row, value, f"{path}: {head}{inner}")
            elif isinstance(value, dict) and any(each == inner or each.startswith(f"{inner}.") for each in sections):
                yield from walk(inner, value)
            else:
                names = [each.key for each in known.values()] + sorted(sections - {SHARED})
                near = difflib.get_close_matches(inner.replace("_", "-"), names, n=1)
                hint = f"; did you mean {near[0]}?" if near else "; see docs/reference.md"
                raise SpecError(f"{path}: {head}{inner}: this option is unknown{hint}")

    yield from walk(SHARED, read)


def _check(row: Row, value: Any, where: str) -> Any:
    """The value as flags have it. Raises SpecError where it is of another kind."""
    if row.model == "ClusterOptions" and row.type in ("list", "table", "any"):
        return value  # as Kubernetes has it; the cluster's options check it
    if row.kind == "many" or (row.type == "text" and isinstance(value, list)):
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise SpecError(f"{where} = {value!r} is not a list of texts")
        return value if row.kind == "many" else ",".join(value)
    types, words = _TYPES.get(row.type, _TYPES["text"])
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        value = value.isoformat() if hasattr(value, "isoformat") else value  # a TOML date
        if not isinstance(value, str) or row.type != "text":
            raise SpecError(f"{where} = {value!r} is not {words}")
    if row.kind == "choice" and str(value) not in row.choices:
        raise SpecError(f"{where} = {value!r}: choose one of {', '.join(row.choices)}")
    return value
