"""The store's own time, and whether it has been seen for long enough to call a claim lapsed by it."""

from __future__ import annotations

from atb.clock import Clock
from atb.errors import StoreError
from atb.storage import Store
from atb.storage.read import find_entry

STEADY_BEATS = 2.5
"""For how many beats the store must have answered before a claim that has not moved is called lapsed. When a store
comes back, or a machine wakes up, all claims are old, and those who hold them are about to renew them."""


class StoreTime:
    """Follows one object that is written every ``beat`` seconds. Times are seconds since 1970."""

    def __init__(self, store: Store, key: str, clock: Clock, beat: float) -> None:
        self._store, self._key, self._clock, self._every = store, key, clock, beat
        self._written = 0.0
        self._at: float | None = None
        self._day = 0.0
        """The time of day here at the last beat."""
        self._steady_from = 0.0

    @property
    def due(self) -> bool:
        """Whether the object is to be written again."""
        now = self._clock.monotonic()
        return self._at is None or now - self._at >= self._every or self._lost(now)

    def beat(self, data: bytes) -> None:
        """Write the object and read its time in the store's listing. Raises StoreError."""
        self._store.put(self._key, data)
        entry = find_entry(self._store, self._key)
        if entry is None:
            raise StoreError(f"store {self._store.url} does not list {self._key}, which was just written")
        now, written = self._clock.monotonic(), entry.modified.timestamp()
        was_set = abs(written - self.now()) > 2 * self._every  # then claims have the old time
        if self._lost(now) or was_set:
            self._steady_from = now
        self._at, self._day, self._written = now, self._clock.now(), written

    def now(self) -> float:
        """The store's time: that of the last beat and what has passed here since."""
        return self._written if self._at is None else self._written + self._clock.monotonic() - self._at

    @property
    def steady(self) -> bool:
        """Whether the store has answered without a gap for long enough."""
        now = self._clock.monotonic()
        return not self._lost(now) and now - self._steady_from >= STEADY_BEATS * self._every

    def _lost(self, now: float) -> bool:
        """Whether there was no beat for long. While a machine is suspended, only the time of day goes on."""
        return self._at is None or max(now - self._at, self._clock.now() - self._day) > 2 * self._every
