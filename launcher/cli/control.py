"""Commands that act on a run whose jobs go on without their launcher. They need its backend and its store, and nothing
of the machine it began on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from atb.options.completion import complete_runs
from atb.options.flags import Configured, add_options
from atb.options.say import say, say_json
from atb.options.stores import complete_commands, with_store
from launcher.cli.arguments import with_named_run, with_run
from launcher.cli.options import ACCESS, ENDING, access_words, flags_given, read_setup

if TYPE_CHECKING:
    from atb.storage import Store


@click.command(cls=Configured)
@add_options("train.log-format", *ENDING)
@add_options(*ACCESS)
@with_run
def attach(store: Store, run: str, **options: Any) -> None:
    """Follow a RUN in a cluster to its end, from anywhere, and collect it."""
    from launcher.cli.ending import read_ending
    from launcher.cli.log_events import log_as_events
    from launcher.cli.run import follow
    from launcher.plan.backend import not_in_cluster
    from launcher.plan.backends import open_run
    from launcher.plan.build import read_plan

    if options["log_format"] == "json":
        log_as_events(output=options["output"] != "json")
    plan = read_plan(store, run)
    context = click.get_current_context()
    setup = read_setup(context)
    backend = open_run(plan, setup)
    if not backend.outlives_launcher:
        raise not_in_cluster(plan)
    ending = read_ending(options, plan, flags_given(context))
    context.exit(follow(plan, store, backend, "attach", ending, access_words(setup)))


@click.command(cls=Configured)
@click.option("--yes", is_flag=True, help="Don't ask.")
@add_options("launch.output", *ACCESS)
@with_named_run
def cancel(store: Store, run: str, yes: bool, output: str | None, **_: Any) -> None:
    """Stop what is still running of a RUN. Its trainings save a checkpoint, and --resume continues from there."""
    from launcher.plan.backends import open_run
    from launcher.plan.build import read_plan

    def confirm(question: str) -> None:
        if not yes:
            click.confirm(question, abort=True, err=True)

    plan = read_plan(store, run)
    words = open_run(plan, read_setup(click.get_current_context())).cancel(plan, confirm)
    _say_outcome(run, complete_commands(words, store), output)


@click.command(cls=Configured)
@click.argument("run", required=False, shell_complete=complete_runs)
@click.option("--all", "everything", is_flag=True, help="All runs of the namespace, whichever store they use.")
@click.option("--force", is_flag=True, help="Also remove live Jobs.")
@add_options("launch.output", *ACCESS)
@with_store
def clean(store: Store, run: str | None, everything: bool, force: bool, output: str | None, **_: Any) -> None:
    """Remove a RUN's objects from its cluster; the store keeps its results."""
    from launcher.plan.backends import open_run
    from launcher.plan.build import read_plan
    from launcher.records.listing import find_run

    setup = read_setup(click.get_current_context())
    if everything == (run is not None):
        raise click.UsageError("give one RUN, or --all")
    if run is not None:
        plan = read_plan(store, find_run(store, run))
        _say_outcome(plan.run, open_run(plan, setup).clean(plan, force=force), output)
        return
    from launcher.kubernetes.backend import clean_all

    _say_outcome(None, clean_all(setup, force=force), output)


def _say_outcome(run: str | None, words: str, output: str | None) -> None:
    """``run``: None where it was all runs."""
    if output == "json":
        say_json({"run": run, "outcome": words})
    else:
        say(words)
