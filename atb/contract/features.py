"""How features are named: one of FEATURE_SETS, and perhaps a file's columns after it: ``classic,+funding_rate``."""

from __future__ import annotations

import difflib
import re

from atb.errors import SpecError

FEATURE_SETS: tuple[str, ...] = ("classic", "relative", "volatility")

_COLUMN = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")


def canonical_features(text: str) -> str:
    """The one spelling of a ``--features`` text. Raises SpecError."""
    base, extras = split_features(text)
    return ",".join([base, *(f"+{name}" for name in extras)])


def split_features(text: str) -> tuple[str, tuple[str, ...]]:
    """The base set and the extra columns of a ``--features`` text, in its order. Raises SpecError."""
    base, *rest = (part.strip() for part in text.split(","))
    if base not in FEATURE_SETS:
        near = difflib.get_close_matches(base, FEATURE_SETS, n=1)
        hint = f"; did you mean {near[0]}?" if near else f"; choose one of {', '.join(FEATURE_SETS)}"
        raise SpecError(f"feature set {base!r} is unknown{hint}")
    extras = []
    for part in rest:
        if not part.startswith("+") or not _COLUMN.fullmatch(part[1:]):
            raise SpecError(f"features {text!r}: {part!r} is not +COLUMN; write {base},+funding_rate")
        if part[1:] in extras:
            raise SpecError(f"features {text!r}: column {part[1:]} is named twice")
        extras.append(part[1:])
    return base, tuple(extras)
