"""``atb-launch store``: looking after a store."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from atb.options.flags import ConfiguredGroup, add_options
from atb.options.say import say, say_json
from atb.options.stores import complete_commands, with_store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atb.storage import Store
    from launcher.upkeep.check import StoreProblem

_WRONG = 1
"""The exit code where something is wrong that was not mended."""


@click.group("store", cls=ConfiguredGroup)
def store_group() -> None:
    """Check and repair a store."""


@store_group.command()
@click.option("--repair", is_flag=True, help="Quarantine what can't be read, rebuild what can be, remove leftovers.")
@click.option("--quick", is_flag=True, help="Compare the sizes of bundles' files, not their hashes.")
@add_options("launch.output")
@with_store
def check(store: Store, repair: bool, quick: bool, output: str | None) -> None:
    """Read every document of a store, verify every bundle's files, and report what is wrong.

    Exits 0 if nothing is wrong or all of it was repaired, else 1. Runs may continue meanwhile. What --repair moves away
    lies under quarantine/, and can be deleted.
    """
    from launcher.upkeep.check import check_store
    from launcher.upkeep.repair import repair_store, sweep_machine

    if next(iter(store.folders("")), None) is None:
        say(f"there is nothing in {store.url}", err=True)
        if output == "json":
            say_json([])
        return
    found = check_store(store, hashes=not quick)
    done: list[StoreProblem] = []
    try:
        if repair:
            done.extend(repair_store(store, found))
            done.extend(sweep_machine(store))
    finally:  # what was changed is named also where the store goes away amid it
        shown = done if repair else found
        _print(shown, output, store, repair=repair)
    left = [finding for finding in shown if not finding.repaired]
    if output != "json":
        words = f"{_count(len(shown), 'finding')}, {len(shown) - len(left)} repaired"
        click.echo(f"{store.url}: {words}", err=True)
    if left:
        raise click.exceptions.Exit(_WRONG)


def _print(found: Sequence[StoreProblem], output: str | None, store: Store, *, repair: bool) -> None:
    from atb.table import Cell, Column, table_lines

    if output == "json":
        say_json([asdict(finding) for finding in found])
    elif found:
        rows = [
            (
                finding.key,
                Cell(finding.what, "yellow" if finding.repaired or finding.what == "leftover" else "red"),
                finding.why.removeprefix(f"{finding.key} "),
                complete_commands(finding.repaired or finding.then, store),
            )
            for finding in found
        ]
        last = Column("what was done" if repair else "what helps")
        click.echo("\n".join(table_lines([Column("key"), Column("what"), Column("why"), last], rows)))


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"
