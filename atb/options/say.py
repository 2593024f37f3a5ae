"""Printing text that contains words of documents, logs and servers."""

from __future__ import annotations

from typing import Any

import click


def say(text: str, *, err: bool = False) -> None:
    """Print lines without control characters: a document must not steer the terminal that shows it."""
    from atb.schema import printable  # which loads pydantic: a help text needs none

    click.echo("\n".join(printable(line, len(line) + 1) for line in text.split("\n")), err=err)


def say_json(value: Any) -> None:
    """Print what ``--output json`` asks for, and nothing else to standard output."""
    from atb.schema import readable_json

    click.echo(readable_json(value), nl=False)
