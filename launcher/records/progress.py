"""How far the jobs are, from the store: one list, and only what has moved is read."""

from __future__ import annotations

from atb.contract import keys
from atb.documents.attempt import Progress
from atb.documents.result import Result
from atb.errors import NotFound, Unreadable
from atb.storage import Store
from atb.storage.read import read_document

MOST_READS = 256
"""Objects read in one look; what is left over is read in the next."""


class ProgressReader:
    """Remembers what it has seen of one run. Not for sharing between threads."""

    def __init__(self, store: Store, run: str) -> None:
        self._store = store
        self._prefix = keys.progress_prefix(run)
        self._etags: dict[str, str] = {}

    def read_changed(self) -> dict[str, Progress]:
        """The progress of each job that has moved since the last look. Raises StoreError."""
        moved = [entry for entry in self._store.list(self._prefix) if self._etags.get(entry.key) != entry.etag]
        found: dict[str, Progress] = {}
        for entry in sorted(moved, key=lambda entry: entry.modified)[:MOST_READS]:
            try:
                progress = read_document(self._store, Progress, entry.key, entry=entry)
            except (NotFound, Unreadable):
                continue  # it went away, or a newer trainer writes it: a table can do without
            finally:
                self._etags[entry.key] = entry.etag
            found[entry.key[len(self._prefix) :].removesuffix(".json")] = progress
        return found


def read_result(store: Store, run: str, job: str) -> Result | None:
    """A job's committed result, or None: one that can't be read is no result. Raises StoreError."""
    key = keys.result(run, job)
    try:
        return read_document(store, Result, key, run=run, job=job)
    except (NotFound, Unreadable):
        return None
