"""How far the jobs are, from the store: one list, and only what has moved is read."""

from __future__ import annotations

from typing import ClassVar

from atb.contract import keys
from atb.contract.names import JobName, RunName
from atb.documents.attempt import Progress
from atb.documents.result import Result
from atb.errors import NotFound, Unreadable
from atb.schema import Document, Part
from atb.storage import Store
from atb.storage.read import read_document, read_head

MOST_READS = 256
"""Objects read in one look; what is left over is read in the next."""


class _Fit(Part):
    epochs: int
    best_validation_loss: float


class Committed(Document):
    """The part of a result that a launcher keeps of each job: whole ones of thousands of jobs would fill its memory."""

    kind: ClassVar[str] = "result"

    run: RunName
    job: JobName
    attempt: int
    fit: _Fit
    peak_memory_bytes: int


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


def read_result(store: Store, run: str, job: str) -> Committed | None:
    """A job's committed result, or None: one that can't be read is no result. Raises StoreError."""
    key = keys.result(run, job)
    try:
        found = read_head(store, Committed, Result, key, run=run, job=job)
    except (NotFound, Unreadable):
        return None
    return committed(found) if isinstance(found, Result) else found


def committed(result: Result) -> Committed:
    """What a launcher keeps of a result."""
    fit = _Fit(epochs=result.fit.epochs, best_validation_loss=result.fit.best_validation_loss)
    return Committed(
        run=result.run,
        job=result.job,
        attempt=result.attempt,
        fit=fit,
        peak_memory_bytes=result.peak_memory_bytes,
    )
