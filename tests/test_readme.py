"""The README says only what is so."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from atb.contract.presets import DEFAULT_PRESET, PRESETS
from launcher.cli import atb_launch
from trainer.cli import atb

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = sorted(set(re.findall(r"(?:^|`)(atb(?:-launch)? (?:[^`\n\\]|\\\n)+)", TEXT, flags=re.MULTILINE)))


def test_every_link_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)]+)\)", TEXT)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_table_of_presets_is_the_contract() -> None:
    rows = re.findall(r"^\| `(\w+)` \|[^|]+\|(.+)\|$", TEXT, flags=re.MULTILINE)
    shown = {name: [float(cell) for cell in cells.split("|")] for name, cells in rows}
    assert shown == {
        name: [each.epochs, each.batch_size, each.sequence_length, each.patience, each.days, each.learning_rate]
        for name, each in PRESETS.items()
    }
    assert f"`{DEFAULT_PRESET}` is the default" in TEXT


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_is_one(line: str) -> None:
    name, *words = shlex.split(line.replace("\\\n", " "), comments=True)
    command: click.Command = {"atb": atb, "atb-launch": atb_launch}[name]
    while isinstance(command, click.Group) and words and words[0] in command.commands:
        command = command.commands[words.pop(0)]
    flags = {flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in words if word.startswith("--")} <= flags
    assert isinstance(command, click.Group) is (command is atb_launch), f"{line}: no such subcommand"


def test_every_target_of_make_is_there() -> None:
    targets = re.findall(r"^make ([a-z-]+)", TEXT, flags=re.MULTILINE)
    assert targets
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert all(re.search(rf"^{target}:", makefile, flags=re.MULTILINE) for target in targets)


def test_nothing_is_fetched_by_the_picture() -> None:
    assert "url(http" not in re.sub(r"\s|[\"']", "", (ROOT / "docs" / "demo.svg").read_text(encoding="utf-8"))
