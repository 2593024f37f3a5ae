"""The one seam to the object store. ``open_store`` gives a Store for a URL; ``MemoryStore`` is its twin for tests."""

from __future__ import annotations

import os

from atb.errors import SpecError
from atb.plugins import STORES, find_entry
from atb.storage.directory import DirectoryStore
from atb.storage.in_memory import MemoryStore
from atb.storage.store import Entry, Store
from atb.storage.url import Bucket, locate_store

__all__ = ["DirectoryStore", "Entry", "MemoryStore", "Store", "open_store"]


def open_store(url: str, endpoint_url: str | None = None, *, patient: bool = False) -> Store:
    """The store at ``s3://bucket/prefix`` or in a directory, or of a plug-in.

    A plug-in's entry point in ``atb.stores`` has the name of its URLs' scheme, and is ``(url, endpoint_url) -> Store``.

    ``patient``: wait for a store that has never answered as long as for one that has, since its address is known to
    be right. Raises SpecError for any other URL, StoreError for settings that can't be right.
    """
    if plugin := find_entry(STORES, url.partition("://")[0]) if "://" in url else None:
        found: Store = plugin.load()(url, endpoint_url)
        return found
    place = locate_store(url)
    if isinstance(place, Bucket):
        from atb.storage import s3  # boto3 takes 100 ms to import; a directory needs none of it

        return s3.S3Store(url, endpoint_url, first_seconds=s3.PATIENCE_SECONDS if patient else s3.FIRST_SECONDS)
    if endpoint_url is not None:
        raise SpecError(f"--endpoint-url is for s3:// stores; the store is the directory {url!r}")
    if os.path.exists(place) and not os.path.isdir(place):
        raise SpecError(f"store {url!r} is no directory; name one, or a new one, as --store")
    return DirectoryStore(place if "://" in url else url)
