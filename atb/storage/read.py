"""Documents read from a store, each checked against its key, so that one in another's place is refused; and many calls
at a time, as many as the store answers sooner for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from atb.contract import keys
from atb.errors import Unreadable
from atb.schema import Document, is_sealed, printable, validate_size
from atb.storage.store import Entry, Store

_D = TypeVar("_D", bound=Document)
_W = TypeVar("_W", bound=Document)
_A = TypeVar("_A")
_B = TypeVar("_B")


def read_document(store: Store, kind: type[_D], key: str, *, entry: Entry | None = None, **fields: object) -> _D:
    """The document at a key, whose fields must equal ``fields``. ``entry``: its place in a listing, if known.

    Raises NotFound, Unreadable (which names the key) and StoreError.
    """
    if entry is not None:
        validate_size(kind, entry.size, key)
    return validate_place(kind.from_bytes(store.get(key), key), key, **fields)


def read_head(
    store: Store, head: type[_D], whole: type[_W], key: str, *, entry: Entry | None = None, **fields: object
) -> _D | _W:
    """The part ``head`` of a document whose digest shows that it is as it was written. One of an earlier version, which
    has no digest, is read and validated whole. Raises as ``read_document``."""
    if entry is not None:
        validate_size(whole, entry.size, key)
    data = store.get(key)
    document: _D | _W = head.from_bytes(data, key) if is_sealed(data) else whole.from_bytes(data, key)
    return validate_place(document, key, **fields)


def find_entry(store: Store, key: str) -> Entry | None:
    """The object at a key as a listing has it, without its content; None where there is none. Raises StoreError."""
    return next((entry for entry in store.list(key) if entry.key == key), None)


def list_entries(store: Store, prefix: str) -> list[str]:
    """The keys of the numbered documents below a prefix, in order; not what others left beside them. Raises
    StoreError."""
    return [entry.key for entry in store.list(prefix) if keys.entry_number(entry.key[len(prefix) :]) is not None]


def validate_place(document: _D, key: str, **fields: object) -> _D:
    """The document. Raises Unreadable where its run, job or symbol is not that of its key."""
    for name, expected in fields.items():
        found = getattr(document, name)
        if found != expected:
            raise Unreadable(
                f"{key} is the {document.kind} of another {name.replace('_', ' ')} ({printable(str(found), 70)}): it "
                "lies in the wrong place; see: atb-launch store check",
                key,
            )
    return document


def map_calls(store: Store, call: Callable[[_A], _B], items: Iterable[_A], *, ahead: int = 4) -> Iterator[_B]:
    """What ``call`` returns for each item, in order; it is called from up to ``store.concurrency`` threads. ``ahead``:
    calls queued per thread, as many results are held at a time. Raises what the call raises."""
    if store.concurrency == 1:
        yield from map(call, items)
        return
    begun: deque[Future[_B]] = deque()
    pool = ThreadPoolExecutor(store.concurrency)
    try:
        for item in items:
            begun.append(pool.submit(call, item))
            if len(begun) >= ahead * store.concurrency:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # who leaves early does not wait for a silent store
