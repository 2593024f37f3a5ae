"""Commands that name the store."""

from __future__ import annotations

import pytest

from atb.options.stores import ENDPOINT_VARIABLES, complete_commands
from atb.storage import MemoryStore, open_store


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


@pytest.mark.parametrize("known", ["s3://bucket/books", ""])
def test_a_command_is_completed_once(known: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ENDPOINT_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ATB_STORE", known)
    store = open_store("s3://bucket/books", "http://127.0.0.1:9000")
    once = complete_commands("see: atb-launch list", store)
    assert ("--store" in once, once.count("--endpoint-url http://127.0.0.1:9000")) == (not known, 1)
    assert complete_commands(once, store) == once
