"""Every option of both commands has one description, default, variable, key in atb.toml and line in the reference."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

import click
import pytest

from atb.options.flags import TableOption
from atb.options.table import TABLE, Row, table
from launcher.cli import atb_launch
from tools.options.__main__ import REFERENCE, all_rows, table_text
from tools.options.reference import reference
from trainer.cli import atb


def options_of(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Option]]:
    for parameter in command.params:
        if isinstance(parameter, click.Option) and (parameter.expose_value or isinstance(parameter, TableOption)):
            yield path, parameter
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from options_of(inner, (*path, name))


def row_of(path: tuple[str, ...], option: click.Option) -> Row:
    if isinstance(option, TableOption):
        return option.row
    return next(row for row in table() if (row.section, row.name) == (".".join(path), option.name))


OPTIONS = [*options_of(atb), *options_of(atb_launch)]


def test_the_table_and_the_reference_are_current() -> None:
    rows = all_rows()
    assert TABLE.read_text(encoding="utf-8") == table_text(rows), "run: make reference"
    assert REFERENCE.read_text(encoding="utf-8") == reference(rows), "run: make reference"


def test_each_row_has_a_name_a_variable_and_a_key_of_its_own() -> None:
    for values in ([row.key for row in table()], [row.variable for row in table()]):
        assert [value for value, count in Counter(values).items() if count > 1] == []


@pytest.mark.parametrize(
    ("path", "option"), OPTIONS, ids=[f"{'-'.join(path)}-{option.name}" for path, option in OPTIONS]
)
def test_every_option_is_described_once(path: tuple[str, ...], option: click.Option) -> None:
    row = row_of(path, option)
    assert row.help
    assert row.help in (option.help or "")
    variable = option.envvar or "_".join(("ATB", *path, option.name or "")).replace("-", "_").upper()
    assert variable == row.variable
    lines = [line for line in REFERENCE.read_text(encoding="utf-8").splitlines() if f"| `{row.variable}` |" in line]
    assert len(lines) == 1
    assert f"| `{row.key}` |" in lines[0]
    assert f"| {row.default} |" in lines[0]


def test_both_commands_spell_an_option_of_a_training_alike() -> None:
    model = {tuple(option.opts + option.secondary_opts) for path, option in OPTIONS if path == ("train", "model")}
    launch = {
        tuple(option.opts + option.secondary_opts)
        for option in atb_launch.params
        if isinstance(option, TableOption) and option.row.section == "train"
    }
    assert launch < model
    for flag in ("--epochs", "--folds", "--warm-start", "--augment", "--set"):
        assert any(flag in flags for flags in launch)


def test_no_help_says_two_defaults() -> None:
    for _, option in OPTIONS:
        assert len(re.findall(r"\[default", option.help or "")) <= 1
