"""Moving an object out of the way without losing it."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

from atb.contract import keys
from atb.storage.store import Store


def read_damaged(store: Store, key: str) -> tuple[bytes, str]:
    """The content of an object and its etag, even where it is not as it was written. Raises NotFound, StoreError."""
    with tempfile.TemporaryDirectory(prefix="atb-quarantine-") as folder:
        path = Path(folder, "object")
        etag = store.get_file(key, path, damaged=True)
        return path.read_bytes(), etag


def set_aside(store: Store, key: str) -> str:
    """Copy an object to ``quarantine/`` and remove it; returns where it lies now. Doing it again changes nothing.

    The object is removed only once its copy is there. Raises NotFound, StoreError, and PreconditionFailed where another
    has been written meanwhile, which stays.
    """
    with tempfile.TemporaryDirectory(prefix="atb-quarantine-") as folder:
        path = Path(folder, "object")
        etag = store.get_file(key, path, damaged=True)
        with path.open("rb") as file:
            target = keys.quarantine(key, hashlib.file_digest(file, "sha256").hexdigest())
        store.put_file(target, path)
    store.delete_if_match(key, etag)
    return target
