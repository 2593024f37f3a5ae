"""The store that a call uses."""

from __future__ import annotations

import os
from typing import TypeAlias

from atb.errors import SpecError
from atb.storage import Store, open_store

StoreLike: TypeAlias = Store | str | os.PathLike[str]
"""A store, or where it is: a URL or a directory."""

VARIABLE = "ATB_STORE"


def find_store(store: StoreLike | None) -> Store:
    """The store, or the one of that URL, of ATB_STORE, or ``./store``. Raises SpecError for an invalid address."""
    if store is None or isinstance(store, str | os.PathLike):
        return open_store(os.fspath(store or os.environ.get(VARIABLE) or "./store"), None)
    if not callable(getattr(store, "put_if_absent", None)):
        raise SpecError(f"store must be a URL, a directory or what atb.open_store returns, not {store!r}")
    return store
