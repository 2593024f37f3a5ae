"""Arguments that several commands take."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from atb.options.completion import complete_runs
from atb.options.stores import with_store

if TYPE_CHECKING:
    from atb.storage import Store


def with_run(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the store's options and RUN, by default the latest; the command gets ``store`` and the whole ``run``."""
    return click.argument("run", default="latest", required=False, shell_complete=complete_runs)(
        _with_found_run(command)
    )


def with_named_run(command: Callable[..., Any]) -> Callable[..., Any]:
    """The same where RUN has to be given: for commands that stop or remove something, or take more arguments."""
    return click.argument("run", shell_complete=complete_runs)(_with_found_run(command))


def _with_found_run(command: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(command)
    def found(store: Store, run: str, **options: Any) -> Any:
        from launcher.records.listing import find_run

        return command(store=store, run=find_run(store, run), **options)

    return with_store(found)
