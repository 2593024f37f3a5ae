"""What is moved out of the way is what was looked at, and nothing that was written since."""

from __future__ import annotations

from pathlib import Path

import pytest

from atb.errors import NotFound, PreconditionFailed
from atb.storage import MemoryStore, Store
from atb.storage.quarantine import read_damaged, set_aside


def test_an_object_is_moved_once(store: Store) -> None:
    store.put("runs/r1/x.json", b"{")
    place = set_aside(store, "runs/r1/x.json")
    assert store.get(place) == b"{"
    with pytest.raises(NotFound):
        store.get("runs/r1/x.json")
    with pytest.raises(NotFound):
        set_aside(store, "runs/r1/x.json")


def test_what_was_written_while_the_other_was_moved_stays() -> None:
    class BusyStore(MemoryStore):
        """Another writer comes between the copy and the removal."""

        def put_file(self, key: str, path: Path) -> str:
            self.put("runs/r1/x.json", b"whole")
            return super().put_file(key, path)

    store = BusyStore()
    store.put("runs/r1/x.json", b"{")
    with pytest.raises(PreconditionFailed):
        set_aside(store, "runs/r1/x.json")
    assert store.get("runs/r1/x.json") == b"whole"


def test_only_what_has_the_etag_is_removed(store: Store) -> None:
    old = store.put("x", b"1")
    new = store.put("x", b"2")
    with pytest.raises(PreconditionFailed):
        store.delete_if_match("x", old)
    assert store.get("x") == b"2"
    assert read_damaged(store, "x") == (b"2", new)
    store.delete_if_match("x", new)
    with pytest.raises((NotFound, PreconditionFailed)):
        store.get("x")
