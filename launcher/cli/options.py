"""What was chosen, as typed options: the launch's, its trainings' and its backend's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from atb.errors import SpecError
from atb.options.flags import TableOption, project_of
from atb.options.read import read_options
from atb.options.table import CLUSTER, TRAIN

if TYPE_CHECKING:
    from launcher.plan.backend import Setup
    from launcher.plan.options import LaunchOptions


ACCESS = ("cluster.kubeconfig", "cluster.context", "cluster.namespace")
"""The options of a command that queries the backend about a run."""
ENDING = (
    "launch.promote",
    "launch.accept-first",
    "launch.fdr",
    "launch.demotion",
    "launch.push-gateway",
    "launch.output",
)
"""The options of a command that collects a run."""


@dataclass(frozen=True)
class Choices:
    """All of a command's options: ``training`` are those for ``resolve_spec``."""

    launch: LaunchOptions
    training: Mapping[str, Any]
    setup: Setup


def flags_given(context: click.Context) -> frozenset[str]:
    """The options that stand on the command line."""
    return frozenset(
        name for name in context.params if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    )


def read_choices(context: click.Context) -> Choices:
    """The options of ``atb-launch`` without a subcommand. Raises SpecError."""
    from atb.options.training import training_options
    from launcher.plan.options import LaunchOptions

    options, given = context.params, flags_given(context)
    if options["resume"]:
        _refuse_what_the_plan_says(context, given)
    launch = read_options(LaunchOptions, {**options, "presets": options["preset"]})
    training = {} if launch.resume else training_options(context)
    training.pop("preset", None)
    return Choices(launch, training, read_setup(context, launch))


def read_setup(context: click.Context, launch: LaunchOptions | None = None) -> Setup:
    """What a backend is opened with, from the flags of any command."""
    from launcher.plan.backend import Setup
    from launcher.plan.options import LaunchOptions

    rows = [parameter.row for parameter in context.command.params if isinstance(parameter, TableOption)]
    names = [row.name for row in rows if row.section == CLUSTER]
    flags = {name: context.params[name] for name in names if context.params[name] not in (None, ())}
    defaults = project_of(context).section(CLUSTER)
    return Setup(launch or LaunchOptions(), flags, flags_given(context), defaults)


def access_words(setup: Setup) -> list[str]:
    """The options that name the cluster in a suggested command, as the command line gave them."""
    given = [name for name in ("kubeconfig", "context") if name in setup.given]
    return [word for name in given for word in (f"--{name}", str(setup.flags[name]))]


def _refuse_what_the_plan_says(context: click.Context, given: frozenset[str]) -> None:
    for parameter in context.command.params:
        if isinstance(parameter, TableOption) and parameter.name in given:
            row = parameter.row
            of_the_plan = row.section == TRAIN and row.name != "log_format"
            if of_the_plan or row.name in ("symbols", "run", "schedule", "force"):
                raise SpecError(f"{parameter.opts[0]} can't be used with --resume: the run's plan already says it")
