"""Commands that act on a run whose jobs go on without their launcher. They need its backend and its store, and nothing
of the machine it began on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from atb.options.stores import with_store
from launcher.cli.flags import access_options, given_flags

if TYPE_CHECKING:
    from atb.storage import Store


@click.command()
@click.argument("run")
@click.option("--promote", type=click.Choice(["auto", "manual"]), default="manual", show_default=True)
@click.option("--accept-first", is_flag=True, help="With --promote auto: first models need no skill shown.")
@click.option("--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
@access_options
@with_store
def attach(store: Store, run: str, promote: str, accept_first: bool, output: str, **access: Any) -> None:
    """Follow a RUN of a cluster to its end, from wherever you are, and collect it."""
    from launcher.cli.run import Ending, follow
    from launcher.plan.backends import open_run
    from launcher.plan.build import read_plan

    plan = read_plan(store, run)
    backend = open_run(plan, given_flags(access))
    code = follow(plan, store, backend, "attach", Ending(promote, accept_first, output))
    click.get_current_context().exit(code)


@click.command()
@click.argument("run")
@click.option("--yes", is_flag=True, help="Don't ask.")
@access_options
@with_store
def cancel(store: Store, run: str, yes: bool, **access: Any) -> None:
    """Stop what is left of a RUN. Its trainings save a checkpoint, and --resume continues from there."""
    from launcher.plan.backends import open_run
    from launcher.plan.build import read_plan

    def confirm(question: str) -> None:
        if not yes:
            click.confirm(question, abort=True, err=True)

    plan = read_plan(store, run)
    click.echo(open_run(plan, given_flags(access)).cancel(plan, confirm))


@click.command()
@click.argument("run")
@click.option("--force", is_flag=True, help="Also where Jobs are still live.")
@access_options
@with_store
def clean(store: Store, run: str, force: bool, **access: Any) -> None:
    """Remove a RUN's objects from its cluster; what it left in the store stays."""
    from launcher.plan.backends import open_run
    from launcher.plan.build import read_plan

    plan = read_plan(store, run)
    click.echo(open_run(plan, given_flags(access)).clean(plan, force=force))
