"""The one seam to the object store. ``open_store`` gives a Store for a URL; ``MemoryStore`` is its twin for tests."""

from __future__ import annotations

from atb.errors import SpecError
from atb.storage.directory import DirectoryStore
from atb.storage.in_memory import MemoryStore
from atb.storage.store import Entry, Store

__all__ = ["DirectoryStore", "Entry", "MemoryStore", "Store", "open_store"]


def open_store(url: str, endpoint_url: str | None = None, *, patient: bool = False) -> Store:
    """The store at ``s3://bucket/prefix`` or in a directory.

    ``patient``: wait for a store that has never answered as long as for one that has, since its address is known to
    be right. Raises SpecError for any other URL, StoreError for settings that can't be right.
    """
    if "@" in url.partition("://")[2].partition("/")[0]:
        raise SpecError(
            "the store's address holds a user or a password; write s3://bucket/prefix, and set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY"
        )
    if url.startswith("s3://"):
        from atb.storage import s3  # boto3 takes 100 ms to import; a directory needs none of it

        return s3.S3Store(url, endpoint_url, first_seconds=s3.PATIENCE_SECONDS if patient else s3.FIRST_SECONDS)
    if "://" in url and not url.startswith("file://"):
        raise SpecError(f"store {url!r} is neither a directory nor s3://bucket/prefix")
    if endpoint_url is not None:
        raise SpecError(f"--endpoint-url is for s3:// stores; the store is the directory {url!r}")
    return DirectoryStore(url.removeprefix("file://"))
