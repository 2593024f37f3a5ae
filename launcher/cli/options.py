"""What was typed, as typed options: the launch's, and those of its trainings."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

from pydantic import ValidationError

from atb.contract.settings import read_settings
from atb.errors import SpecError
from atb.redaction import looks_like_secret
from atb.schema import first_problem
from launcher.plan.options import LaunchOptions

TRAINING_FLAGS = ("source", "market", "timeframe", "features", "days", "start", "end", "as_of", "seed")
_NOT_WITH_RESUME = ("symbols", "presets", "settings", *TRAINING_FLAGS, "run", "schedule", "force")


def split_options(options: Mapping[str, Any], given: Set[str]) -> tuple[LaunchOptions, dict[str, Any]]:
    """The launch's options and ``resolve_spec``'s; ``given`` names what the command line sets. Raises SpecError."""
    if options["resume"] and (extra := [name for name in _NOT_WITH_RESUME if name in given]):
        raise SpecError(f"--{extra[0].replace('_', '-')} does not go with --resume: the run's plan says it already")
    fields = {name: options[name] for name in LaunchOptions.model_fields if name in options}
    fields |= {"store": options["store_url"], "wait": not options["no_wait"]}
    try:
        return LaunchOptions(**fields), training_options(options)
    except ValidationError as error:
        raise SpecError(f"--{first_problem(error)}") from None


def training_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The flags of trainings and ``--set`` together. Raises SpecError where they disagree."""
    found: dict[str, Any] = dict(read_settings(options["settings"]))
    for name in TRAINING_FLAGS:
        value = options[name]
        if value is None:
            continue
        if found.get(name, value) != value:
            raise SpecError(f"--{name.replace('_', '-')} {value} and --set {name}={found[name]} disagree; give one")
        found[name] = value
    for name, value in found.items():
        if looks_like_secret(name, str(value)):
            raise SpecError(f"the value of {name} looks like a secret, and the plan would keep it; leave it out")
    return found
