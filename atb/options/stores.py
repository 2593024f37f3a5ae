"""The two options that name a store, for every command that needs one."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

DEFAULT_STORE = "./store"
"""A directory beside where the command is run."""

store_option = click.option(
    "--store",
    "store_url",
    metavar="URL",
    envvar="ATB_STORE",
    show_envvar=True,
    help=f"A directory, or s3://bucket/prefix.  [default: {DEFAULT_STORE}]",
)
endpoint_option = click.option("--endpoint-url", metavar="URL", help="Where an S3-compatible server listens.")


def with_store(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a subcommand, which gets the opened ``store``; what was given before its name counts too."""

    def opened(context: click.Context, /, store_url: str | None, endpoint_url: str | None, **options: Any) -> Any:
        from atb.storage import open_store

        before = context.parent.params if context.parent else {}
        url = store_url if _given(context) else before.get("store_url") or store_url
        return command(store=open_store(url or DEFAULT_STORE, endpoint_url or before.get("endpoint_url")), **options)

    functools.update_wrapper(opened, command)
    return store_option(endpoint_option(click.pass_context(opened)))


def _given(context: click.Context) -> bool:
    return context.get_parameter_source("store_url") is click.core.ParameterSource.COMMANDLINE
