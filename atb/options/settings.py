"""Options written as ``NAME=VALUE``: the general form of every flag of a training."""

from __future__ import annotations

from collections.abc import Iterable

from atb.contract.spec import OPTION_NAMES, suggest
from atb.errors import SpecError


def read_settings(pairs: Iterable[str]) -> dict[str, str]:
    """The options in ``NAME=VALUE`` pairs; a name's dashes may be written for its underscores. Raises SpecError."""
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        name, value = name.strip().replace("-", "_"), value.strip()
        if not equals or not name:
            raise SpecError(f"--set {pair!r} is not NAME=VALUE, like --set epochs=5")
        if name not in OPTION_NAMES:
            raise SpecError(f"--set {name}: this option is unknown{suggest(name)}")
        if found.get(name, value) != value:
            raise SpecError(f"--set {name} is given twice: {found[name]} and {value}")
        found[name] = value
    return found
