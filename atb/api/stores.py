"""Which store a call means."""

from __future__ import annotations

import os

from atb.storage import Store, open_store

VARIABLE = "ATB_STORE"


def find_store(store: Store | str | None) -> Store:
    """The store, or the one of that URL, of ATB_STORE, or ``./store``. Raises SpecError for an address of none."""
    if store is None or isinstance(store, str):
        return open_store(store or os.environ.get(VARIABLE) or "./store", None)
    return store
