"""Documents read from a store: each checked against its key, so that one in another's place is refused."""

from __future__ import annotations

from typing import TypeVar

from atb.errors import Unreadable
from atb.schema import Document, printable, validate_size
from atb.storage.store import Entry, Store

_D = TypeVar("_D", bound=Document)


def read_document(store: Store, kind: type[_D], key: str, *, entry: Entry | None = None, **said: object) -> _D:
    """The document at a key, which says of itself what ``said`` says. ``entry``: its place in a listing, if known.

    Raises NotFound, Unreadable that names the key, StoreError.
    """
    if entry is not None:
        validate_size(kind, entry.size, key)
    return validate_place(kind.from_bytes(store.get(key), key), key, **said)


def validate_place(document: _D, key: str, **said: object) -> _D:
    """The document. Raises Unreadable where it says another run, job or symbol than its key."""
    for name, expected in said.items():
        found = getattr(document, name)
        if found != expected:
            raise Unreadable(
                f"{key} is the {document.kind} of another {name.replace('_', ' ')} ({printable(str(found), 70)}): it "
                "lies in the wrong place; see: atb-launch store check"
            )
    return document
