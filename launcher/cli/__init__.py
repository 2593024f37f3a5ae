"""``atb-launch``: one command for many trainings. Importing it loads no TensorFlow, pandas or NumPy."""

from __future__ import annotations

# ruff: noqa: E402
from atb.first_process import end_on_sigterm

end_on_sigterm()

from typing import Any

import click

import atb
from atb.contract.exits import run_and_exit
from atb.options.flags import ROOT, ConfiguredGroup, add_options
from launcher.cli.control import attach, cancel, clean
from launcher.cli.plan import plan_command
from launcher.cli.runs import collect, list_, logs, page, status, why
from launcher.cli.store import store_group
from launcher.cli.worker import worker

_BEFORE_A_COMMAND = {"store", "endpoint_url"}
"""Options that may stand before a subcommand's name."""

_EXAMPLES = """
atb-launch --symbols BTCUSDT,ETHUSDT --preset balanced
atb-launch --symbols @symbols.txt --preset fast,quality --epochs 50 --dry-run
atb-launch --resume 20260131-0600
"""


@click.group(
    cls=ConfiguredGroup,
    invoke_without_command=True,
    context_settings=ROOT,
    subcommand_metavar="[COMMAND [ARGS]...]",
    examples=_EXAMPLES,
)
@click.version_option(atb.__version__, prog_name="atb-launch")
@add_options("launch", "run", "store", "endpoint-url", "Spec", "TrainingOptions", "cluster", "train.log-format")
@click.pass_context
def atb_launch(context: click.Context, /, **options: Any) -> None:
    """Train one model for each symbol, on Kubernetes or on this machine."""
    if context.invoked_subcommand is not None:
        from launcher.cli.options import flags_given

        if misplaced := sorted(flags_given(context) - _BEFORE_A_COMMAND):
            flag = next(parameter.opts[0] for parameter in context.command.params if parameter.name == misplaced[0])
            raise click.UsageError(f"{flag} can't be used with the command {context.invoked_subcommand}")
        return
    from launcher.cli.options import read_choices
    from launcher.cli.run import launch, resume

    if options["log_format"] == "json":
        from launcher.cli.log_events import log_as_events

        log_as_events(output=options["output"] != "json" and not options["dry_run"])
    choices = read_choices(context)
    context.exit(resume(choices) if choices.launch.resume else launch(choices))


for command in (plan_command, status, list_, attach, logs, why, cancel, clean, collect, page, store_group, worker):
    atb_launch.add_command(command)


def main() -> None:
    """The console script."""
    run_and_exit(lambda: atb_launch(prog_name="atb-launch"))
