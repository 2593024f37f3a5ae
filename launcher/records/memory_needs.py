"""The memory that jobs needed after they ran out of it, remembered in the store for the next run."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from atb.contract import keys
from atb.documents.attempt import MemoryNeed
from atb.documents.plan import PlannedJob
from atb.errors import NotFound, SpecError
from atb.storage import Store
from atb.storage.read import read_document

MARGIN = 1.25
"""What a worker keeps for a job beyond the most that one of its preset has used there."""
GROWTH = 1.5
"""What it keeps for a job that once ran out of memory, beyond what that one used."""


def read_memory_needs(store: Store, jobs: Iterable[PlannedJob]) -> dict[str, str]:
    """The memory to begin with, by job, where an earlier run remembered one. Raises StoreError."""
    return {job: need.memory for job, need in read_needs(store, jobs).items()}


def read_needs(store: Store, jobs: Iterable[PlannedJob]) -> dict[str, MemoryNeed]:
    """What is remembered about the jobs: one listing, then only the requested ones are read. Raises StoreError."""
    wanted = {_key(planned): planned.job for planned in jobs}
    found = {}
    for entry in store.list(keys.memory_prefix()):
        if entry.key in wanted:
            try:
                found[wanted[entry.key]] = read_document(store, MemoryNeed, entry.key, entry=entry)
            except (NotFound, SpecError):
                continue  # a hint, lost without harm
    return found


def remember_memory(store: Store, run: str, planned: PlannedJob, memory: str, peak_bytes: int, now: float) -> None:
    """Remember the limit that the next run begins with, and the peak seen. Raises StoreError."""
    updated = datetime.fromtimestamp(now, UTC)
    need = MemoryNeed(memory=memory, peak_memory_bytes=peak_bytes, run=run, updated=updated)
    store.put(_key(planned), need.to_bytes())


def remember_use(store: Store, run: str, planned: PlannedJob, used: int, now: float) -> None:
    """Remember the bytes that a job used when it was ended for them. Raises StoreError."""
    mebibytes = -(-int(used * GROWTH) // (1 << 20))
    remember_memory(store, run, planned, f"{max(1, mebibytes)}Mi", used, now)


def known_need(remembered: MemoryNeed | None, peak: int) -> int:
    """The bytes to keep for a job: from what an earlier attempt used, else from the peak of others like it, else 0."""
    if remembered is not None and remembered.peak_memory_bytes:
        return int(remembered.peak_memory_bytes * GROWTH)
    return int(peak * MARGIN)


def _key(planned: PlannedJob) -> str:
    return keys.memory(planned.spec.symbol, planned.spec.timeframe, planned.spec.preset)
