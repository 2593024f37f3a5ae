"""``atb-launch``: one command for many trainings. Importing it loads no TensorFlow, pandas or NumPy."""

from __future__ import annotations

from typing import Any

import click

import atb
from atb.contract.exits import run_and_exit
from atb.contract.presets import DEFAULT_PRESET, PRESET_NAMES
from atb.options.stores import endpoint_option, store_option
from launcher.cli.control import attach, cancel, clean
from launcher.cli.flags import access_options, given_flags, job_options
from launcher.cli.runs import collect, list_, logs, report, status, why

_BEFORE_A_COMMAND = {"store_url", "endpoint_url"}
"""Options that may stand before a subcommand's name."""


@click.group(
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    subcommand_metavar="[COMMAND [ARGS]...]",
)
@click.version_option(atb.__version__, prog_name="atb-launch")
@click.option("--symbols", metavar="A,B | @FILE", help="What to train, separated by commas, or a file of names.")
@click.option(
    "--preset",
    "--presets",
    "presets",
    metavar="A,B",
    default=DEFAULT_PRESET,
    show_default=True,
    help=f"One or more of {', '.join(PRESET_NAMES)}.",
)
@click.option("--set", "settings", metavar="NAME=VALUE", multiple=True, help="Override a number of the presets.")
@click.option("--source", metavar="NAME", help="sample, files:PATH, binance or ccxt:EXCHANGE.  [default: binance]")
@click.option("--market", metavar="NAME", help="spot, um or cm.  [default: spot]")
@click.option("--timeframe", metavar="LENGTH", help="A bar's length.  [default: 1h]")
@click.option("--features", metavar="SET", help="classic, relative, or one and columns: classic,+NAME.")
@click.option("--days", metavar="N", help="How far back bars are taken from.  [default: the preset's]")
@click.option("--start", metavar="DATE", help="Where the bars begin, instead of --days.")
@click.option("--end", metavar="DATE", help="The same as --as-of.")
@click.option("--as-of", metavar="DATE", help="No bar that closes later is read.  [default: now]")
@click.option("--seed", metavar="N", help="Of everything random.  [default: 42]")
@store_option
@endpoint_option
@click.option(
    "--backend",
    metavar="NAME",
    default="auto",
    show_default=True,
    help="kubernetes, local or a plug-in's. auto is kubernetes where a kubeconfig or a Pod's account is, else local.",
)
@click.option("--run", metavar="NAME", help="The run's name.  [default: from the time]")
@click.option("--schedule", metavar="NAME", help="In a CronJob's Pod: the run and its --as-of are those that were due.")
@click.option("--resume", metavar="RUN", help="Run what failed or is missing of an earlier run.")
@click.option("--force", is_flag=True, help="Train again what is unchanged, too.")
@click.option(
    "--max-parallel",
    type=click.IntRange(min=1),
    help="Jobs at a time.  [default: all on a cluster; here one a core, 4 a GPU]",
)
@click.option(
    "--promote",
    type=click.Choice(["auto", "manual"]),
    default="manual",
    show_default=True,
    help="auto lets each model that passes the gate serve.",
)
@click.option("--accept-first", is_flag=True, help="With --promote auto: first models need no skill shown.")
@click.option(
    "--dry-run",
    is_flag=False,
    flag_value="client",
    type=click.Choice(["client", "server"]),
    help="Say what would run, and end: the objects as YAML for a cluster, with =server as its API server takes them.",
)
@click.option("--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.option("--no-wait", is_flag=True, help="Leave when the Jobs are created.")
@click.option("--yes", is_flag=True, help="Don't ask before a large run or one with doubts.")
@access_options
@job_options
@click.pass_context
def atb_launch(context: click.Context, /, **options: Any) -> None:
    """Train one model for each symbol, on Kubernetes or on this machine.

    \b
    atb-launch --symbols BTCUSDT,ETHUSDT --preset balanced
    atb-launch --symbols @symbols.txt --presets fast,quality --set epochs=50
    """
    given = {name for name in options if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE}
    if context.invoked_subcommand is not None:
        if misplaced := sorted(given - _BEFORE_A_COMMAND):
            flag = next(parameter.opts[0] for parameter in context.command.params if parameter.name == misplaced[0])
            raise click.UsageError(f"{flag} does not go with the command {context.invoked_subcommand}")
        return
    from launcher.cli.options import split_options
    from launcher.cli.run import launch, resume

    chosen, training = split_options(options, given)
    flags = given_flags(options)
    context.exit(resume(chosen, flags, given) if chosen.resume else launch(chosen, training, flags))


for command in (status, list_, attach, logs, why, cancel, clean, collect, report):
    atb_launch.add_command(command)


def main() -> None:
    """The console script."""
    run_and_exit(lambda: atb_launch(prog_name="atb-launch"))
