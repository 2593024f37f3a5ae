"""What a store supports, tried once with one small object."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from atb.errors import PreconditionFailed
from atb.storage.store import Store


@dataclass(frozen=True)
class Probe:
    """Our identity there, and whether conditional writes are honoured."""

    identity: str
    if_absent: bool
    if_match: bool

    @property
    def conditional(self) -> bool:
        """Whether the champion's pointer can be moved safely."""
        return self.if_absent and self.if_match


_CONDITIONAL: WeakKeyDictionary[Store, bool] = WeakKeyDictionary()


def is_conditional(store: Store) -> bool:
    """Whether conditional writes are honoured: tried once for each store that a process opens, since a run promotes
    hundreds of models. Raises StoreError where it can't be tried."""
    if (known := _CONDITIONAL.get(store)) is None:
        known = _CONDITIONAL[store] = probe_store(store).conditional
    return known


def probe_store(store: Store) -> Probe:
    """Write, condition and remove one object. Raises StoreError where the store can't be written at all."""
    key = f"probes/{uuid.uuid4().hex}"
    etag = store.put_if_absent(key, b"1")
    try:
        if_absent = _refuses(lambda: store.put_if_absent(key, b"2"))
        etag = store.get_with_etag(key)[1]
        if_match = _refuses(lambda: store.put_if_match(key, b"3", '"0123456789abcdef0123456789abcdef"'))
        if if_match:
            store.put_if_match(key, b"4", etag)
    finally:
        store.delete(key)
    if store.rejects_conditions:
        return Probe(store.identity(), if_absent=False, if_match=False)
    return Probe(store.identity(), if_absent, if_match)


def _refuses(write: object) -> bool:
    assert callable(write)
    try:
        write()
    except PreconditionFailed:
        return True
    return False
