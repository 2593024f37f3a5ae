"""The options that name a store, for every command that needs one."""

from __future__ import annotations

import functools
import os
import re
import shlex
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from atb.options.flags import COMPLETE, add_options
from atb.options.say import say, say_if_slow

if TYPE_CHECKING:
    from atb.storage import Store


def with_store(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command, which gets the opened ``store``; what was given before its name counts as well."""
    return _with_store(command, patient=False)


def with_patient_store(command: Callable[..., Any]) -> Callable[..., Any]:
    """The same for what a launcher starts: the address is known to be right, so an outage is waited out."""
    return _with_store(command, patient=True)


def open_cli_store(url: str, endpoint_url: str | None, *, patient: bool = False) -> Store:
    """The store, which says on stderr what it waits for. Raises SpecError, StoreError."""
    from atb.storage import open_store

    waiting = say_if_slow("opening the store and loading the credentials for it", lambda words: say(words, err=True))
    with waiting if "://" in url else nullcontext():
        store = open_store(url, endpoint_url, patient=patient)
    store.on_wait = lambda words: say(words, err=True)
    if (context := click.get_current_context(silent=True)) is not None:
        context.meta[COMPLETE] = lambda text: complete_commands(text, store)
    return store


def _with_store(command: Callable[..., Any], *, patient: bool) -> Callable[..., Any]:
    @click.pass_context
    def opened(context: click.Context, /, store: str | None, endpoint_url: str | None, **options: Any) -> Any:
        url, endpoint = _before(context, "store", store), _before(context, "endpoint_url", endpoint_url)
        return command(store=open_cli_store(url or default_store(), endpoint, patient=patient), **options)

    functools.update_wrapper(opened, command)
    return add_options("store", "endpoint-url")(opened)


_COMMAND = re.compile(r"(?<=: )atb(?:-launch)? (?!config)[^;,]*(?=[;,]|$)")
"""A command that a sentence suggests."""


def complete_commands(text: str, store: Store) -> str:
    """The text with the options that name the store in each command that it suggests, so that it can be pasted."""
    where = store_words(store, os.environ)

    def complete(found: re.Match[str]) -> str:
        return found[0] if where[0] in found[0] else f"{found[0]} {shlex.join(where)}"

    return _COMMAND.sub(complete, text) if where else text


ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")


def store_words(store: Store, environment: Mapping[str, str] | None = None) -> list[str]:
    """The options that name a store in a suggested command. With ``environment``, the command is for a shell where
    these variables are set, and what they or the default say is left out."""
    known = environment or {}
    words = []
    if environment is None or store.url != known.get("ATB_STORE", default_store()):
        words += ["--store", store.url]
    if store.endpoint_url and store.endpoint_url not in map(known.get, ENDPOINT_VARIABLES):
        words += ["--endpoint-url", store.endpoint_url]
    return words


def default_store() -> str:
    """A directory beside where the command is run."""
    from atb.options.table import find_rows

    return find_rows(["store"])[0].default


def _before(context: click.Context, name: str, value: str | None) -> str | None:
    """The value, or what stands before the command's name where that alone is on the command line."""
    parent = context.parent
    if context.get_parameter_source(name) is ParameterSource.COMMANDLINE or parent is None:
        return value
    if parent.get_parameter_source(name) is ParameterSource.COMMANDLINE:
        return str(parent.params[name])
    return value
