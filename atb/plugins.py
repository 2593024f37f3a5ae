"""Plug-ins, found by standard entry points or by ``module:name``: nets, feature sets, bars sources, stores, backends.

A part comes from what is installed here, by name; never from a path or from a store. What it is made of (distribution,
version, digest of its source) is part of the code digest of the models made with it.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from atb.errors import SpecError

NETS, FEATURES, SOURCES = "atb.nets", "atb.features", "atb.sources"
STORES, BACKENDS = "atb.stores", "atb.backends"
GROUPS = (NETS, FEATURES, SOURCES, STORES, BACKENDS)

_MODULE = r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*"
_REFERENCE = re.compile(rf"{_MODULE}:{_MODULE}")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}")


@dataclass(frozen=True)
class Plugin:
    """An installed part. ``value`` is ``module:name``."""

    group: str
    name: str
    value: str
    distribution: str = ""
    version: str = ""

    @property
    def module(self) -> str:
        """Where it is defined."""
        return self.value.partition(":")[0]

    def identity(self) -> str:
        """Its identity, as text: the same for the same source. Raises SpecError where that can't be found."""
        return f"{self.value} {self.distribution} {self.version} {_source_digest(self.module)}".replace("  ", " ")

    def load(self) -> Any:
        """The part itself. Raises SpecError where it can't be imported."""
        try:
            found: Any = importlib.import_module(self.module)
            for name in filter(None, self.value.partition(":")[2].split(".")):
                found = getattr(found, name)
        except (ImportError, AttributeError) as error:
            raise SpecError(f"{self.name} can't be loaded from {self.value}: {error}") from None
        return found


def validate_name(text: str) -> str:
    """The text, where it can name a part. Raises ValueError."""
    if not is_entry_name(text) and not is_reference(text):
        raise ValueError(f"{text!r} is neither the name of an entry point nor module:function")
    return text


def is_entry_name(text: str) -> bool:
    """Whether an entry point can have this name, installed here or not."""
    return bool(_NAME.fullmatch(text))


def is_reference(text: str) -> bool:
    """Whether it is ``module:name``."""
    return bool(_REFERENCE.fullmatch(text))


def find_entry(group: str, name: str) -> Plugin | None:
    """The entry point of that name; None where none is installed."""
    return next((_of(entry) for entry in metadata.entry_points(group=group, name=name)), None)


def require_plugin(group: str, name: str) -> Plugin:
    """The entry point of that name, or what ``module:name`` says. Raises SpecError where none is installed."""
    found = Plugin(group, name, name) if is_reference(name) else find_entry(group, name)
    if found is None:
        known = ", ".join(each.name for each in list_plugins(group)) or "none is installed"
        raise SpecError(f"{name!r} is not an installed entry point of {group} ({known}), and not module:function")
    return found


def list_plugins(*groups: str) -> list[Plugin]:
    """What is installed, in order of groups and names."""
    return sorted(
        (_of(entry) for group in groups or GROUPS for entry in metadata.entry_points(group=group)),
        key=lambda each: (each.group, each.name),
    )


def _of(entry: metadata.EntryPoint) -> Plugin:
    dist = entry.dist
    return Plugin(entry.group, entry.name, entry.value, dist.name if dist else "", dist.version if dist else "")


def _source_digest(module: str) -> str:
    """16 hex digits over the sources of the package that a module is in, or of the module itself."""
    digest = hashlib.sha256()
    for path in _sources(module.partition(".")[0]):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def _sources(top: str) -> Iterator[Path]:
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        raise SpecError(f"the module {top} is not installed here")
    folders = list(spec.submodule_search_locations or ())
    if folders:
        for folder in folders:
            yield from sorted(Path(folder).rglob("*.py"))
    elif spec.has_location and spec.origin:  # a module of the interpreter's own has no source: its version is Python's
        yield Path(spec.origin)
