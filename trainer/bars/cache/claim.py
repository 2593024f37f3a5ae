"""One at a time across processes and machines: a claim is an object that only the first can create."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Iterator

from atb.errors import NotFound, PreconditionFailed
from atb.storage import Store

PATIENCE_SECONDS = 120.0
"""A claim that has not been renewed for this long is taken over; its holder is taken for dead."""
_POLL_SECONDS = 0.5


@contextlib.contextmanager
def hold_claim(
    store: Store,
    key: str,
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Callable[[], None]]:
    """Hold the claim at ``key`` for the body, waiting while another does; yields what renews it.

    A help against doing work twice, not a lock: on a store that ignores conditions everybody holds it. No clocks of
    two machines are compared: a waiter takes over what *it* has seen unchanged for PATIENCE_SECONDS.
    """
    name = uuid.uuid4().hex
    _acquire(store, key, name.encode(), sleep, clock)
    renewals = 0

    def renew() -> None:
        nonlocal renewals
        renewals += 1
        store.put(key, f"{name} {renewals}".encode())

    try:
        yield renew
    finally:
        with contextlib.suppress(NotFound):
            if store.get(key).startswith(name.encode()):
                store.delete(key)


def _acquire(
    store: Store, key: str, content: bytes, sleep: Callable[[float], None], clock: Callable[[], float]
) -> None:
    seen, since = "", clock()
    while True:
        with contextlib.suppress(PreconditionFailed):
            store.put_if_absent(key, content)
            return
        try:
            etag = store.get_with_etag(key)[1]
        except NotFound:
            continue
        if etag != seen:
            seen, since = etag, clock()
        elif clock() - since > PATIENCE_SECONDS:
            with contextlib.suppress(PreconditionFailed):
                store.put_if_match(key, content, etag)
                return
        sleep(_POLL_SECONDS)
