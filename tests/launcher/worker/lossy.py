"""A store whose answers come late, or not at all, at random."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from atb.errors import StoreError
from atb.storage import Entry, Store, open_store

VARIABLE = "ATB_TEST_LOSSY"
"""The share of answers that are lost; half of them after the store has done what it was asked for."""
LONGEST_DELAY = 0.05

_T = TypeVar("_T")


def open_test_store(url: str) -> Store:
    """The store at a URL, as unreliable as the environment says."""
    share = float(os.environ.get(VARIABLE, "0"))
    return LossyStore(open_store(url), share) if share else open_store(url)


class LossyStore:
    """Passes everything on, and loses answers."""

    concurrency = 1
    rejects_conditions = False

    def __init__(self, store: Store, share: float) -> None:
        self.on_wait: Callable[[str], None] = lambda words: None
        self._store, self._share = store, share
        self._random = random.Random(os.getpid() ^ time.monotonic_ns())
        self.url, self.endpoint_url = store.url, store.endpoint_url

    def _ask(self, work: Callable[[], _T]) -> _T:
        chance = self._random.random()
        time.sleep(self._random.random() ** 4 * LONGEST_DELAY)
        if chance < self._share / 2:
            raise StoreError(f"store {self.url} did not answer")
        answer = work()
        if chance < self._share:
            raise StoreError(f"store {self.url} did not answer, and has done it")
        return answer

    def within(self, seconds: float) -> LossyStore:
        return self

    def get(self, key: str) -> bytes:
        return self._ask(lambda: self._store.get(key))

    def get_with_etag(self, key: str) -> tuple[bytes, str]:
        return self._ask(lambda: self._store.get_with_etag(key))

    def put(self, key: str, data: bytes) -> str:
        return self._ask(lambda: self._store.put(key, data))

    def put_if_absent(self, key: str, data: bytes) -> str:
        return self._ask(lambda: self._store.put_if_absent(key, data))

    def put_if_match(self, key: str, data: bytes, etag: str) -> str:
        return self._ask(lambda: self._store.put_if_match(key, data, etag))

    def list(self, prefix: str) -> Iterator[Entry]:
        return iter(self._ask(lambda: list(self._store.list(prefix))))

    def folders(self, prefix: str) -> Iterator[str]:
        return iter(self._ask(lambda: list(self._store.folders(prefix))))

    def delete(self, key: str) -> None:
        self._ask(lambda: self._store.delete(key))

    def delete_if_match(self, key: str, etag: str) -> None:
        self._ask(lambda: self._store.delete_if_match(key, etag))

    def put_file(self, key: str, path: Path) -> str:
        return self._ask(lambda: self._store.put_file(key, path))

    def get_file(self, key: str, path: Path, *, damaged: bool = False) -> str:
        return self._ask(lambda: self._store.get_file(key, path, damaged=damaged))

    def identity(self) -> str:
        return self._store.identity()
