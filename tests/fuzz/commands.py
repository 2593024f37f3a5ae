"""Both commands in this process: every subcommand, and what one printed, which is no traceback and no control."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
from click.testing import CliRunner

from atb.errors import AtbError
from launcher.cli import atb_launch
from trainer.cli import atb

ROOTS: dict[str, click.Command] = {"atb": atb, "atb-launch": atb_launch}


def subcommands(command: click.Command, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Each command that does something, with the words before it."""
    if not isinstance(command, click.Group) or command.invoke_without_command:
        yield path, command
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            yield from subcommands(below, *path, name)


def run_words(words: Sequence[str], folder: Path) -> int:
    """Run a command in ``folder``; returns its exit code. Fails where it ended with a bug, or printed what a terminal
    would obey."""
    with contextlib.chdir(folder):
        result = CliRunner().invoke(ROOTS[words[0]], list(words[1:]))
    if isinstance(result.exception, AtbError):
        code = result.exception.exit_code
    else:
        assert result.exception is None or isinstance(result.exception, SystemExit), words
        code = result.exit_code
    assert code != 70, words
    assert all(line.isprintable() for line in result.output.replace("\t", " ").split("\n")), (words, result.output)
    return code
