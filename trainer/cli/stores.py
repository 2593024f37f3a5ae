"""The two options that name a store, for every command that needs one."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

DEFAULT_STORE = "store"
"""A directory beside where the command is run."""


def with_store(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--store`` and ``--endpoint-url`` to a command, which gets the opened ``store``."""

    @click.option(
        "--store",
        "store_url",
        metavar="URL",
        default=DEFAULT_STORE,
        envvar="ATB_STORE",
        show_default=True,
        show_envvar=True,
        help="A directory, or s3://bucket/prefix.",
    )
    @click.option("--endpoint-url", metavar="URL", help="Where an S3-compatible server listens.")
    @functools.wraps(command)
    def opened(store_url: str, endpoint_url: str | None, **options: Any) -> Any:
        from atb.storage import open_store

        return command(store=open_store(store_url, endpoint_url), **options)

    return opened
