"""Moving an object out of the way without losing it."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

from atb.contract import keys
from atb.errors import StoreError
from atb.storage.read import find_entry
from atb.storage.store import LARGEST, Store


def read_damaged(store: Store, key: str) -> tuple[bytes, str]:
    """The content of an object and its etag, even where it is not as it was written. Raises NotFound,
    Denied, StoreError."""
    with tempfile.TemporaryDirectory(prefix="atb-quarantine-") as folder:
        path = Path(folder, "object")
        etag = _fetch(store, key, path)
        return path.read_bytes(), etag


def set_aside(store: Store, key: str) -> str:
    """Copy an object to ``quarantine/`` and remove it; returns where it lies now. Doing it again changes nothing.

    The object is removed only once its copy is there. Raises NotFound, Denied, StoreError, and PreconditionFailed where
    another has been written meanwhile, which stays.
    """
    target, etag = copy_aside(store, key)
    store.delete_if_match(key, etag)
    return target


def copy_aside(store: Store, key: str) -> tuple[str, str]:
    """Copy an object to ``quarantine/``; returns where the copy lies, and the etag of what was copied. Raises NotFound,
    Denied, StoreError."""
    with tempfile.TemporaryDirectory(prefix="atb-quarantine-") as folder:
        path = Path(folder, "object")
        etag = _fetch(store, key, path)
        with path.open("rb") as file:
            target = keys.quarantine(key, hashlib.file_digest(file, "sha256").hexdigest())
        store.put_file(target, path)
    return target, etag


def _fetch(store: Store, key: str, path: Path) -> str:
    """Bring an object to a file of this machine, which may have little room; returns its etag."""
    entry = find_entry(store, key)
    if entry is not None and entry.size > LARGEST:
        raise StoreError(f"{key} in {store.url} has {entry.size:,} bytes, too many to be copied: move it away by hand")
    return store.get_file(key, path, damaged=True)
