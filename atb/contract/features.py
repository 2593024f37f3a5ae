"""How features are named: a set, ours or a plug-in's, and perhaps a file's columns: ``classic,+funding_rate``."""

from __future__ import annotations

import difflib
import re

from atb.errors import SpecError
from atb.plugins import FEATURES, find_entry, is_entry_name, is_reference, list_plugins

FEATURE_SETS: tuple[str, ...] = ("classic", "relative", "volatility")

_COLUMN = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")


def canonical_features(text: str) -> str:
    """The canonical spelling of a ``--features`` text. Raises SpecError."""
    base, extras = split_features(text)
    return ",".join([base, *(f"+{name}" for name in extras)])


def split_features(text: str) -> tuple[str, tuple[str, ...]]:
    """The base set and the extra columns of a ``--features`` text, in its order. Raises SpecError.

    A base set that is not ours is a plug-in's, which need not be installed here.
    """
    base, *rest = (part.strip() for part in text.split(","))
    if not is_entry_name(base) and not is_reference(base):
        raise _unknown(base)
    extras = []
    for part in rest:
        if not part.startswith("+") or not _COLUMN.fullmatch(part[1:]):
            raise SpecError(f"features {text!r}: {part!r} is not +COLUMN; write {base},+funding_rate")
        if part[1:] in extras:
            raise SpecError(f"features {text!r}: column {part[1:]} is named twice")
        extras.append(part[1:])
    return base, tuple(extras)


def is_own_set(base: str) -> bool:
    """Whether a base set is a plug-in's."""
    return base not in FEATURE_SETS


def check_features(text: str) -> None:
    """Raise SpecError for a set that is neither ours, nor a plug-in installed here, nor ``module:name``."""
    base, _ = split_features(text)
    if is_own_set(base) and not is_reference(base) and not find_entry(FEATURES, base):
        raise _unknown(base)


def _unknown(base: str) -> SpecError:
    known = [*FEATURE_SETS, *(plugin.name for plugin in list_plugins(FEATURES))]
    near = difflib.get_close_matches(base, known, n=1)
    hint = f"; did you mean {near[0]}?" if near else f"; choose one of {', '.join(known)}"
    return SpecError(f"feature set {base!r} is unknown{hint}")
