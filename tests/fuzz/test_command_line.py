"""Whatever is typed, a command does its work or says in one line what is wrong."""

from __future__ import annotations

from pathlib import Path

import click
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz import few
from tests.fuzz.commands import ROOTS, run_words, subcommands

GIVEN = {"--store", "--endpoint-url", "--source", "--follow", "--help", "--version", "--dry-run", "--push-gateway"}
SLOW = {"doctor"} if settings().max_examples < 1_000 else set()
"""Loads TensorFlow to ask for devices: for ``make fuzz`` alone. Its training is that of any job."""
COMMANDS = [
    (root, *path, command)
    for root, group in ROOTS.items()
    for path, command in subcommands(group)
    if not SLOW & {root, *path}
]
WORDS = (
    "", "0", "-1", "1", "7", "0.5", "nan", "-inf", "1e999", "9" * 400, "x" * 300, "BTCUSDT", "BTC/USDT",
    "BTCUSDT,ETHUSDT", "fast", "fast,quality", "latest", "r1/BTCUSDT-fast", "../x", "~nobody/x", "@", "@/nowhere", "@.",
    "a=b", "=", "a=", "{}", "[", "null", "1h", "1d", "2026-01-31", "0001-01-01", "9999-12-31T23:59", "-1d", "none",
    "auto", "kubernetes", "local", "8Gi", "1e30Gi", "s3://x", "files:x", "--", "-", "-x",
    "--set", "\u00e4\u202e", "\x1b[2J",
    "\x85\x9b", "\ufeff",
)  # fmt: skip
values = st.sampled_from(WORDS) | st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=12)
"""No argument of a process can hold a zero byte."""


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    """A command with some of its own options and arguments, each with any value."""
    root, *path, command = draw(st.sampled_from(COMMANDS))
    assert isinstance(command, click.Command)
    words = [str(root), *map(str, path)]
    options = [option for option in command.params if isinstance(option, click.Option)]
    for option in draw(st.lists(st.sampled_from(options), max_size=4)) if options else []:
        name = draw(st.sampled_from([*option.opts, *option.secondary_opts]))
        if name not in GIVEN and not {"-f", "--follow"} & {*option.opts}:
            words += [name] if option.is_flag else [name, draw(values)]
    words += draw(st.lists(values, max_size=3))
    names = {name for option in options for name in option.opts}
    words += [*(["--store", "./store"] if "--store" in names else []), *(["--dry-run"] if "--dry-run" in names else [])]
    words += ["--no-train"] if "--train" in names else []
    return [*words, *(["--source", "files:./bars"] if "--source" in names else [])]


@given(command_lines())
@few(4)
def test_any_words_are_a_command_or_one_line(tmp_path: Path, words: list[str]) -> None:
    run_words(words, tmp_path)
