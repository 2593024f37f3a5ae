"""Commands that name the store."""

from __future__ import annotations

import pytest

from atb.options.stores import complete_commands
from atb.storage import MemoryStore


@pytest.mark.parametrize(
    ("text", "completed"),
    [
        ("there is no run r; see: atb-launch list", "there is no run r; see: atb-launch list --store memory://"),
        ("look with: atb doctor; try later", "look with: atb doctor --store memory://; try later"),
        ("with: atb-launch cancel r, or add --force", "with: atb-launch cancel r --store memory://, or add --force"),
        ("resume with: atb-launch --resume r --store x", "resume with: atb-launch --resume r --store x"),
        ("it is set by atb.toml; see: atb config --all", "it is set by atb.toml; see: atb config --all"),
        ("look with: kubectl get nodes", "look with: kubectl get nodes"),
    ],
)
def test_a_suggested_command_names_the_store_that_was_used(text: str, completed: str) -> None:
    assert complete_commands(text, MemoryStore()) == completed
