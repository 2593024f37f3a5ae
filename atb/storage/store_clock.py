"""The time by the store's own clock, which is the only one that all who write to it share."""

from __future__ import annotations

import uuid
from contextlib import suppress

from atb.clock import SYSTEM_CLOCK, Clock
from atb.errors import AtbError
from atb.storage.store import Store


def read_clock(store: Store, clock: Clock = SYSTEM_CLOCK) -> float:
    """Seconds since 1970 by the clock that dates the store's listings: one small object is written, listed, removed.

    This machine's clock where the store can't be written.
    """
    key = f"probes/{uuid.uuid4().hex}"
    try:
        store.put(key, b"time")
        found = [entry.modified.timestamp() for entry in store.list(key)]
    except AtbError:
        return clock.now()
    finally:
        with suppress(AtbError):
            store.delete(key)
    return found[0] if found else clock.now()
