"""The one seam to the object store. ``open_store`` gives a Store for a URL; ``MemoryStore`` is its twin for tests."""

from __future__ import annotations

from atb.errors import SpecError
from atb.storage.directory import DirectoryStore
from atb.storage.in_memory import MemoryStore
from atb.storage.store import Entry, Store

__all__ = ["DirectoryStore", "Entry", "MemoryStore", "Store", "open_store"]


def open_store(url: str, endpoint_url: str | None = None) -> Store:
    """The store at ``s3://bucket/prefix`` or in a directory. Raises SpecError for any other URL."""
    if url.startswith("s3://"):
        from atb.storage.s3 import S3Store  # boto3 takes 100 ms to import; a directory needs none of it

        return S3Store(url, endpoint_url)
    if "://" in url and not url.startswith("file://"):
        raise SpecError(f"store {url!r} is neither a directory nor s3://bucket/prefix")
    if endpoint_url is not None:
        raise SpecError(f"--endpoint-url is for s3:// stores; the store is the directory {url!r}")
    return DirectoryStore(url.removeprefix("file://"))
