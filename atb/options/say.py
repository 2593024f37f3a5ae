"""Printing text that contains words of documents, logs and servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from atb.redaction import redact
from atb.threads import SYSTEM_THREADS, Threads

_MOMENT, _WHILE = 2.0, 10.0
"""Seconds of silence before work is said to go on, at first and from then on."""


def say(text: str, *, err: bool = False) -> None:
    """Print lines without control characters, since a document must not steer the terminal that shows it, and without
    what looks like a secret."""
    from atb.schema import printable  # which loads pydantic: a help text needs none

    click.echo("\n".join(printable(line, len(line) + 1) for line in redact(text).split("\n")), err=err)


def say_json(value: Any) -> None:
    """Print what ``--output json`` asks for, and nothing else to standard output."""
    from atb.schema import readable_json

    click.echo(readable_json(value), nl=False)


@contextmanager
def say_if_slow(words: str, tell: Callable[[str], None], *, threads: Threads = SYSTEM_THREADS) -> Iterator[None]:
    """Say what is being done if it takes more than a moment, and from time to time that it still is."""
    done = threads.flag()

    def watch() -> None:
        seconds = pause = _MOMENT
        while not done.wait(pause):
            tell(f"{words} …" if seconds == _MOMENT else f"{words}: {seconds:.0f} s so far …")
            pause = _WHILE
            seconds += pause

    threads.start(watch, "say-if-slow")
    try:
        yield
    finally:
        done.set()
