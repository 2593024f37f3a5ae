"""A store in a dictionary: the twin that tests use, honest about conditions."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from atb.errors import NotFound, PreconditionFailed
from atb.storage.store import Entry


class MemoryStore:
    """Objects live as long as the instance; safe to share between threads."""

    url = "memory://"
    endpoint_url: str | None = None
    concurrency = 1
    rejects_conditions = False

    def __init__(self) -> None:
        self.on_wait: Callable[[str], None] = lambda words: None
        self._objects: dict[str, tuple[bytes, datetime]] = {}
        self._lock = threading.Lock()

    def within(self, seconds: float) -> Self:
        return self

    def get(self, key: str) -> bytes:
        return self.get_with_etag(key)[0]

    def get_with_etag(self, key: str) -> tuple[bytes, str]:
        with self._lock:
            if key not in self._objects:
                raise NotFound(f"no object {key} in {self.url}")
            data = self._objects[key][0]
        return data, _etag(data)

    def put(self, key: str, data: bytes) -> str:
        with self._lock:
            self._objects[key] = (bytes(data), datetime.now(UTC))
        return _etag(data)

    def put_if_absent(self, key: str, data: bytes) -> str:
        with self._lock:
            if key in self._objects:
                raise PreconditionFailed(f"{key} is already there in {self.url}")
            self._objects[key] = (bytes(data), datetime.now(UTC))
        return _etag(data)

    def put_if_match(self, key: str, data: bytes, etag: str) -> str:
        with self._lock:
            if key not in self._objects or _etag(self._objects[key][0]) != etag:
                raise PreconditionFailed(f"{key} has changed in {self.url}")
            self._objects[key] = (bytes(data), datetime.now(UTC))
        return _etag(data)

    def list(self, prefix: str) -> Iterator[Entry]:
        with self._lock:
            found = [(key, *self._objects[key]) for key in self._objects if key.startswith(prefix)]
        return iter([Entry(key, len(data), _etag(data), at) for key, data, at in sorted(found)])

    def folders(self, prefix: str) -> Iterator[str]:
        below = (entry.key[len(prefix) :].split("/") for entry in self.list(prefix))
        return iter(sorted({parts[0] for parts in below if len(parts) > 1}))

    def delete(self, key: str) -> None:
        with self._lock:
            self._objects.pop(key, None)

    def delete_if_match(self, key: str, etag: str) -> None:
        with self._lock:
            if key not in self._objects or _etag(self._objects[key][0]) != etag:
                raise PreconditionFailed(f"{key} has changed in {self.url}")
            del self._objects[key]

    def put_file(self, key: str, path: Path) -> str:
        return self.put(key, path.read_bytes())

    def get_file(self, key: str, path: Path, *, damaged: bool = False) -> str:
        data, etag = self.get_with_etag(key)
        path.write_bytes(data)
        return etag

    def identity(self) -> str:
        return "this process"


def _etag(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
