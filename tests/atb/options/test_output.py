"""One way to ask for JSON: ``--output json`` in every command that prints."""

from __future__ import annotations

import click
import pytest

from tests.fuzz.commands import ROOTS, subcommands

OWN_LINES = {
    "atb-launch logs": "prints what the trainings wrote, as they wrote it",
    "atb-launch worker": "its log already has one JSON object a line",
    "atb train job": "what a launcher calls: --log-format json is its output",
    "atb data foresee": "what a dry run calls: always prints JSON",
}
"""Commands without --output, and why."""


ALL = {" ".join((root, *path)): command for root, group in ROOTS.items() for path, command in subcommands(group)}
"""Every command that does something, by the words that call it."""


@pytest.mark.parametrize("name", ALL)
def test_every_command_prints_json_if_asked_or_has_a_reason_not_to(name: str) -> None:
    outputs = [parameter for parameter in ALL[name].params if parameter.name == "output"]
    if name in OWN_LINES:
        assert outputs == []
        return
    (output,) = outputs
    assert output.opts == ["--output"]
    assert isinstance(output.type, click.Choice)
    assert list(output.type.choices)[:2] == ["table", "json"]


def test_no_command_stands_on_the_list_that_is_gone() -> None:
    assert set(OWN_LINES) <= set(ALL)
