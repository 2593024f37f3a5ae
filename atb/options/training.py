"""Which setting of a training's option holds: flag beats environment beats file beats preset beats default."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
from click.core import ParameterSource

from atb.contract.spec import OPTION_NAMES
from atb.errors import SpecError
from atb.options.flags import TableOption
from atb.options.settings import read_settings
from atb.options.table import TRAIN
from atb.redaction import holds_secret

_RANKS = {ParameterSource.DEFAULT_MAP: 1, ParameterSource.ENVIRONMENT: 2, ParameterSource.COMMANDLINE: 3}
_EITHER = (("days", "start"), ("end", "as_of"))
"""Options that replace each other: the stronger setting drops the other."""


def training_options(context: click.Context) -> dict[str, Any]:
    """The options for ``resolve_spec``. Raises SpecError where settings of one rank disagree, or one holds a secret."""
    chosen: dict[str, tuple[int, str, Any]] = {}
    for rank, setting, name, value in _settings(context):
        before = chosen.get(name)
        if before is None or rank > before[0]:
            chosen[name] = (rank, setting, value)
        elif rank == before[0] and str(value) != str(before[2]):
            raise SpecError(f"{before[1]} and {setting} disagree; give one")
    for one, other in _EITHER:
        if one in chosen and other in chosen and chosen[one][0] != chosen[other][0]:
            del chosen[min(one, other, key=lambda name: chosen[name][0])]
    for name, (_, _, value) in chosen.items():
        if holds_secret(str(value)):
            raise SpecError(f"the value of {name} looks like a secret, and the plan would keep it; leave it out")
    return {name: value for name, (_, _, value) in chosen.items()}


def _settings(context: click.Context) -> Iterator[tuple[int, str, str, Any]]:
    """Each setting: its rank, how it was written, the option and the value."""
    for parameter in context.command.params:
        if not isinstance(parameter, TableOption) or parameter.row.section != TRAIN:
            continue
        name = parameter.row.name
        rank, value = _RANKS.get(context.get_parameter_source(name) or ParameterSource.DEFAULT, 0), context.params[name]
        if not rank or value is None:
            continue
        if name == "set":
            for option, text in read_settings(value).items():
                yield rank, f"--set {option}={text}", option, text
        elif name in OPTION_NAMES:
            yield rank, f"--{name.replace('_', '-')} {value}", name, value
