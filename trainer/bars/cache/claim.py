"""One at a time across processes and machines: a claim is an object that only the first can create."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import uuid
from collections.abc import Callable, Iterator

from atb.clock import Clock
from atb.errors import NotFound, PreconditionFailed, Stopped, StoreError, Unreadable
from atb.machine import is_gone, machine_id
from atb.patience import INTERRUPT, WAITING_CLOCK
from atb.storage import Store
from atb.storage.read import find_entry

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 120.0
"""A claim that has not been renewed for this long is taken over; its holder counts as dead."""
_CLOCKS_DIFFER = 900.0
"""Seconds by which this machine's clock and the store's may differ; with more, S3 rejects each request."""
_POLL_SECONDS = 0.5


@contextlib.contextmanager
def hold_claim(store: Store, key: str, *, clock: Clock = WAITING_CLOCK) -> Iterator[Callable[[], None]]:
    """Hold the claim at ``key`` for the body, waiting while another does; yields what renews it.

    It saves doing work twice and is not a lock: on a store that ignores conditions everybody holds it. A holder on
    this machine that has ended is seen at once, and so is a claim so old that no difference of clocks explains it. Of
    others no clocks are compared: a waiter takes over what *it* has seen unchanged for PATIENCE_SECONDS. Raises Stopped
    on a stop signal while it waits.
    """
    name, renewals = uuid.uuid4().hex, 0

    def content() -> bytes:
        holder = {"name": name, "renewals": renewals, "host": socket.gethostname()}
        return json.dumps({**holder, "machine": machine_id(), "process": os.getpid()}).encode()

    def renew() -> None:
        nonlocal renewals
        renewals += 1
        with contextlib.suppress(StoreError):
            store.within(0).put(key, content())

    _acquire(store, key, content(), clock)
    try:
        yield renew
    finally:
        with contextlib.suppress(StoreError, Unreadable):  # left behind, it is taken over
            if name.encode() in store.get(key):
                store.delete(key)


def _acquire(store: Store, key: str, content: bytes, clock: Clock) -> None:
    seen, since, interrupts = "", clock.monotonic(), INTERRUPT.count
    while True:
        with contextlib.suppress(PreconditionFailed):
            store.put_if_absent(key, content)
            return
        try:
            data, etag = store.get_with_etag(key)
        except NotFound:
            continue
        except Unreadable:
            store.delete(key)  # nobody can renew it
            continue
        gone = _is_gone(data) or (not seen and _is_old(store, key, clock))
        if not seen:
            log.info("waiting while %s; taken over if nothing is heard for %.0f s", _who(data), PATIENCE_SECONDS)
        if etag != seen:
            seen, since = etag, clock.monotonic()
        if gone or clock.monotonic() - since > PATIENCE_SECONDS:
            with contextlib.suppress(PreconditionFailed):
                store.put_if_match(key, content, etag)
                return
        clock.sleep(_POLL_SECONDS)
        if INTERRUPT.count != interrupts:
            raise Stopped(f"stopped while {_who(data)}")


def _who(data: bytes) -> str:
    holder = _read(data)
    return f"process {holder.get('process', '?')} on {holder.get('host', 'another machine')} is fetching these bars"


def _is_gone(data: bytes) -> bool:
    holder = _read(data)
    machine, process = holder.get("machine"), holder.get("process")
    return isinstance(machine, str) and isinstance(process, int) and is_gone(machine, process)


def _is_old(store: Store, key: str, clock: Clock) -> bool:
    """Whether it was left behind long ago."""
    entry = find_entry(store, key)
    return entry is not None and clock.now() - entry.modified.timestamp() > PATIENCE_SECONDS + _CLOCKS_DIFFER


def _read(data: bytes) -> dict[str, object]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
