"""Moving an object out of the way without losing it."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

from atb.contract import keys
from atb.storage.store import Store

_CHUNK = 1 << 20


def set_aside(store: Store, key: str) -> str:
    """Copy an object to ``quarantine/`` and remove it; returns where it lies now. Doing it again changes nothing.

    Raises NotFound, StoreError; the object is removed only once its copy is there.
    """
    with tempfile.TemporaryDirectory(prefix="atb-quarantine-") as folder:
        path = Path(folder, "object")
        store.get_file(key, path)
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
        target = keys.quarantine(key, digest.hexdigest())
        store.put_file(target, path)
    store.delete(key)
    return target
