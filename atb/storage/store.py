"""What every store can do, and nothing more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, Protocol, Self

from atb.errors import Unreadable

LARGEST = 1 << 30
"""Bytes of an object that is read into memory; a larger one can be read to a file only."""


class Entry(NamedTuple):
    """One object in a listing. ``etag`` changes when the content does; for a conditional write take the one of
    ``get_with_etag``, which can be another: a directory would have to read every file that it lists."""

    key: str
    size: int
    etag: str
    modified: datetime


class Store(Protocol):
    """Whole objects under keys with ``/`` in them. An object is there whole or not at all.

    Every method raises StoreError when the store does not answer or refuses; reads of an absent key raise NotFound, of
    an object that is not as it was written, or larger than LARGEST, Unreadable; conditional writes raise
    PreconditionFailed when someone else was first. A store that does not answer is waited for, with patience and a
    bound; SIGTERM and Ctrl-C end such a wait, which then raises StoreError too.
    """

    on_wait: Callable[[str], None]
    """Called from any thread with a message: why a call is waiting, and that the store answers again."""
    concurrency: int
    """How many calls at a time it answers sooner than one after the other; 1: no thread is begun for any."""
    rejects_conditions: bool
    """Whether the store refused a conditional write as such; such writes are then done without."""

    @property
    def url(self) -> str:
        """The store's address as a user would type it; holds no credentials."""

    @property
    def endpoint_url(self) -> str | None:
        """Where an S3-compatible server listens; None for a directory or the default one."""

    def within(self, seconds: float) -> Self:
        """The same store with at most this patience, never more than that of ``self``: for optional writes."""

    def get(self, key: str) -> bytes:
        """The object's content."""

    def get_with_etag(self, key: str) -> tuple[bytes, str]:
        """The object's content and its etag, for a later ``put_if_match``."""

    def put(self, key: str, data: bytes) -> str:
        """Write or replace; returns the etag."""

    def put_if_absent(self, key: str, data: bytes) -> str:
        """Write only where nothing is; returns the etag."""

    def put_if_match(self, key: str, data: bytes, etag: str) -> str:
        """Replace only what has that etag; returns the new one."""

    def list(self, prefix: str) -> Iterator[Entry]:
        """All objects whose key begins with the prefix, in key order."""

    def folders(self, prefix: str) -> Iterator[str]:
        """The names between a prefix that ends in ``/`` and the next ``/``, in order; quick whatever lies below."""

    def delete(self, key: str) -> None:
        """Remove the object; it is not an error if it is absent."""

    def delete_if_match(self, key: str, etag: str) -> None:
        """Remove only what has that etag; a store that can't compare and remove at once compares just before."""

    def put_file(self, key: str, path: Path) -> str:
        """Write or replace from a file, which may be larger than memory; returns the etag."""

    def get_file(self, key: str, path: Path, *, damaged: bool = False) -> str:
        """Bring the object to a file, which is there whole or not at all; returns the etag. ``damaged``: also one that
        is not as it was written."""

    def identity(self) -> str:
        """Our identity there, for people: a user, an access key's id, a role. Never a secret."""


def too_large(key: str, url: str, size: int) -> Unreadable:
    """What to raise for an object that is not read into memory."""
    words = f"has {size:,} bytes, and nothing of ours has more than {LARGEST:,}"
    return Unreadable(f"{key} in {url} {words}; see: atb-launch store check", key)
