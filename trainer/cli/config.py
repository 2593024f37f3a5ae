"""``atb config``: which settings hold here, and where each comes from."""

from __future__ import annotations

import os

import click

from atb.options.flags import Configured, project_of, with_output
from atb.options.say import say_json
from trainer.cli.tables import print_table


@click.command(cls=Configured)
@click.option("--all", is_flag=True, help="Also show what the preset or the default sets.")
@with_output("one object, key → value and origin")
@click.pass_context
def config(context: click.Context, all: bool, output: str) -> None:
    """Print the options set by the environment and atb.toml, and where each is set; docs/reference.md lists all."""
    from atb.options.resolve import settings

    project = project_of(context)
    chosen = [each for each in settings(project, os.environ) if all or each.chosen]
    if output == "json":
        say_json({each.row.key: {"value": each.value, "from": each.origin} for each in chosen})
        return
    click.echo(f"file  {project.path or 'no atb.toml here or above'}", err=True)
    if not chosen:
        click.echo("nothing is set: every option has the preset's or the default value; see: atb config --all")
        return
    print_table(("option", "value", "from"), [(each.row.key, each.value or "–", each.origin) for each in chosen])
