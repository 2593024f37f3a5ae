"""The effective value of every option, and its origin: the environment, atb.toml, the preset or the default."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from atb.contract.presets import DEFAULT_PRESET, PRESET_NAMES, PRESETS
from atb.errors import SpecError
from atb.options.project import Project
from atb.options.table import Row, table
from atb.redaction import looks_like_secret

HIDDEN = "(looks like a secret)"


@dataclass(frozen=True)
class Setting:
    """One option's value as text, and in words where it comes from. ``chosen``: the environment or a file says it."""

    row: Row
    value: str
    origin: str
    chosen: bool


def settings(project: Project, environment: Mapping[str, str]) -> Iterator[Setting]:
    """Every option that models describe, as a command without flags has it. Raises SpecError for an unknown preset."""
    preset = environment.get("ATB_PRESET") or project.get("train", "preset") or DEFAULT_PRESET
    presets: dict[str, Any] = {name: PRESETS[name] for name in PRESET_NAMES if name in str(preset).split(",")}
    if len(presets) != len(set(str(preset).split(","))):
        raise SpecError(f"preset {preset!r} is unknown; choose one of {', '.join(PRESET_NAMES)}")
    for row in table():
        if row.model:
            value, origin, chosen = _resolve(row, project, environment, presets)
            yield Setting(row, HIDDEN if looks_like_secret("", value) else value, origin, chosen)


def _resolve(
    row: Row, project: Project, environment: Mapping[str, str], presets: Mapping[str, Any]
) -> tuple[str, str, bool]:
    if environment.get(row.variable):
        return environment[row.variable], row.variable, True
    place = (row.section, row.name)
    if place in project.values:
        return _text(project.values[place]), project.places[place], True
    if row.section == "train" and all(hasattr(preset, row.name) for preset in presets.values()):
        values = dict.fromkeys(str(getattr(preset, row.name)) for preset in presets.values())
        return ",".join(values), f"preset {','.join(presets)}", False
    return row.default, "default", False


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
