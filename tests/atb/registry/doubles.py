"""Stores that fail in one chosen way."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from atb.storage import MemoryStore


class Death(BaseException):
    """The process ends here."""


class MortalStore(MemoryStore):
    """Shares another store's objects and dies at the k-th write: before it is applied, or just after."""

    def __init__(self, real: MemoryStore, fatal: int, applied: bool) -> None:
        self.__dict__ = dict(real.__dict__)
        self._left = fatal
        self._applied = applied

    def put(self, key: str, data: bytes) -> str:
        with self._one_write():
            return super().put(key, data)

    def put_if_absent(self, key: str, data: bytes) -> str:
        with self._one_write():
            return super().put_if_absent(key, data)

    def put_if_match(self, key: str, data: bytes, etag: str) -> str:
        with self._one_write():
            return super().put_if_match(key, data, etag)

    def delete(self, key: str) -> None:
        with self._one_write():
            super().delete(key)

    def delete_if_match(self, key: str, etag: str) -> None:
        with self._one_write():
            super().delete_if_match(key, etag)

    @contextlib.contextmanager
    def _one_write(self) -> Iterator[None]:
        self._left -= 1
        if self._left == 0 and not self._applied:
            raise Death
        try:
            yield
        finally:
            if self._left == 0:
                raise Death


class CarelessStore(MemoryStore):
    """Ignores the conditions of writes, as some S3-compatible servers do."""

    def put_if_absent(self, key: str, data: bytes) -> str:
        return self.put(key, data)

    def put_if_match(self, key: str, data: bytes, etag: str) -> str:
        return self.put(key, data)
