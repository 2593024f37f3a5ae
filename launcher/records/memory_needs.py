"""What jobs came to need after they ran out of memory, remembered in the store for the next run."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from atb.contract import keys
from atb.documents.attempt import MemoryNeed
from atb.documents.plan import PlannedJob
from atb.errors import NotFound, SpecError
from atb.storage import Store


def read_memory_needs(store: Store, jobs: Iterable[PlannedJob]) -> dict[str, str]:
    """The memory to begin with, by job, where an earlier run remembered one: one list, then only what is asked for."""
    wanted = {_key(planned): planned.job for planned in jobs}
    found = {}
    for entry in store.list(keys.memory_prefix()):
        if entry.key in wanted:
            try:
                found[wanted[entry.key]] = MemoryNeed.from_bytes(store.get(entry.key), entry.key).memory
            except (NotFound, SpecError):
                continue  # a hint, lost without harm
    return found


def remember_memory(store: Store, run: str, planned: PlannedJob, memory: str, peak_bytes: int, now: float) -> None:
    """Remember the limit that the next run begins with, and the peak seen. Raises StoreError."""
    updated = datetime.fromtimestamp(now, UTC)
    need = MemoryNeed(memory=memory, peak_memory_bytes=peak_bytes, run=run, updated=updated)
    store.put(_key(planned), need.to_bytes())


def _key(planned: PlannedJob) -> str:
    return keys.memory(planned.spec.symbol, planned.spec.timeframe, planned.spec.preset)
