"""Every option of both commands, as data that is read in a millisecond; ``make reference`` writes it."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

TABLE = Path(__file__).with_name("table.json")

SHARED, LAUNCH, TRAIN, CLUSTER, MODEL = "", "launch", "train", "cluster", "model"
"""Sections of atb.toml that models describe; the shared options stand at its top. Other sections are commands."""

Kind = Literal["text", "choice", "switch", "many", "optional"]
"""optional: a flag that may stand alone and then means its first choice."""


@dataclass(frozen=True)
class Row:
    """One option: ``flags`` are click's declarations, empty where only a file can say it; ``model`` names its class."""

    section: str
    name: str
    flags: tuple[str, ...]
    kind: Kind
    type: str
    heading: str
    metavar: str
    help: str
    default: str
    variable: str
    choices: tuple[str, ...]
    model: str

    @property
    def key(self) -> str:
        """Where it stands in atb.toml: ``train.epochs``."""
        return f"{self.section}.{self.name}".lstrip(".").replace("_", "-")


@functools.cache
def table() -> tuple[Row, ...]:
    """All options, in the order of their models."""
    return tuple(_read(fields) for fields in json.loads(TABLE.read_text(encoding="utf-8")))


def find_rows(wanted: Iterable[str]) -> list[Row]:
    """The rows of whole sections (``cluster``), of models (``ClusterOptions``) or single ones (``train.epochs``)."""
    found: list[Row] = []
    for name in wanted:
        rows = _by_name().get(name)
        if rows is None:
            raise LookupError(f"no option {name} in {TABLE.name}; write it again with: make reference")
        found += [row for row in rows if row not in found]
    return found


@functools.cache
def _by_name() -> dict[str, list[Row]]:
    """The rows of each section, each model and each key."""
    found: dict[str, list[Row]] = {}
    for row in table():
        for name in dict.fromkeys((row.section, row.model, row.key)):
            found.setdefault(name, []).append(row)
    return found


def _read(fields: dict[str, Any]) -> Row:
    return Row(**{**fields, "flags": tuple(fields["flags"]), "choices": tuple(fields["choices"])})
