"""What is wrong in a store: every document read, every bundle's files compared with the result that names them."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from atb.clock import SYSTEM_CLOCK, Clock
from atb.contract import keys
from atb.documents.champion import Champion, HistoryEntry, Signal
from atb.documents.manifest import Manifest
from atb.documents.result import FileEntry, Result, ResultPointer
from atb.errors import NotFound, SpecError, Unreadable
from atb.registry.champions import ModelKey
from atb.schema import Document
from atb.storage import Entry, Store
from atb.storage.read import map_calls, read_document
from atb.storage.store_clock import read_clock
from launcher.upkeep.places import Place, place_of

PROBE_SECONDS = 3_600.0
CLAIM_SECONDS = 3_600.0
"""Older than this, a probe and a claim on a download were left by a process that was killed."""
_CHUNK = 1 << 20

What = Literal["unreadable", "misplaced", "missing", "altered", "stale", "leftover"]


@dataclass(frozen=True)
class StoreProblem:
    """One thing that is wrong. ``then`` says what helps; ``repaired`` what was done about it; ``made_from``: the key of
    what the object can be made from again."""

    key: str
    what: What
    why: str
    then: str
    repaired: str = ""
    made_from: str = ""


@dataclass(frozen=True)
class Inventory:
    """Everything that a store has, listed once."""

    entries: Mapping[str, Entry]
    now: float
    """By the store's clock."""

    @classmethod
    def take(cls, store: Store, clock: Clock = SYSTEM_CLOCK) -> Inventory:
        """List the store. Raises StoreError."""
        now = read_clock(store, clock)
        entries = {entry.key: entry for entry in store.list("")}
        return cls({key: entry for key, entry in entries.items() if not key.startswith(keys.QUARANTINE)}, now)


def check_store(store: Store, *, hashes: bool = True, clock: Clock = SYSTEM_CLOCK) -> list[StoreProblem]:
    """What is wrong, in the order of the keys. ``hashes``: also read every file of every bundle. Raises StoreError."""
    inventory = Inventory.take(store, clock)
    places = {key: place for key in inventory.entries if (place := place_of(key)) is not None}

    def look(key: str) -> tuple[Document | None, StoreProblem | None]:
        return read_place(store, key, places[key], inventory.entries[key])

    read = dict(zip(places, map_calls(store, look, places), strict=True))
    found = [finding for _, finding in read.values() if finding is not None]
    documents = {key: document for key, (document, _) in read.items() if document is not None}
    found += _check_files(store, inventory, documents, hashes)
    found += _check_pointers(documents, inventory)
    latest = _latest_results(documents)
    found = [replace(finding, made_from=latest.get(finding.key, "")) for finding in found]
    found += _find_lost_pointers(latest, inventory)
    found += _find_leftovers(inventory)
    return sorted(found, key=lambda finding: (finding.key, finding.what))


def read_place(store: Store, key: str, place: Place, entry: Entry) -> tuple[Document | None, StoreProblem | None]:
    """The document at a key, or what is wrong with it. Raises StoreError."""
    try:
        document = read_document(store, place.kind, key, entry=entry, **place.identity)
        if isinstance(document, Champion | HistoryEntry | Signal) and _folder_of(document) != key.rpartition("/")[0]:
            why = f"it is the {document.kind} of {ModelKey.of(document)}"
            return None, StoreProblem(key, "misplaced", why, place.then)
        return document, None
    except NotFound:
        return None, None  # it was removed in between
    except Unreadable as problem:
        what: What = "misplaced" if "wrong place" in str(problem) else "unreadable"
        return None, StoreProblem(key, what, str(problem), place.then)


def _folder_of(document: Champion | HistoryEntry | Signal) -> str:
    """Where a document of a model key lies."""
    prefix = ModelKey.of(document).prefix
    if isinstance(document, Signal):
        return f"{keys.SIGNALS}{prefix.removeprefix('models/')}"[:-1]
    return (prefix if isinstance(document, Champion) else f"{prefix}{keys.CHAMPION_HISTORY}")[:-1]


def _check_files(
    store: Store, inventory: Inventory, documents: Mapping[str, Document], hashes: bool
) -> Iterator[StoreProblem]:
    """The files that results and champions name: there, of their size, and of their hash."""
    owners: dict[FileEntry, str] = {}
    for key, document in documents.items():
        if isinstance(document, Result | Champion):
            for file in document.files:
                owners.setdefault(file, key)

    def look(file: FileEntry) -> tuple[What, str] | None:
        entry = inventory.entries.get(file.key)
        if entry is None:
            return "missing", f"{owners[file]} names it"
        if entry.size != file.size:
            return "altered", f"it has {entry.size:,} bytes and not {file.size:,}, says {owners[file]}"
        if hashes and _sha256(store, file.key) != file.sha256:
            return "altered", f"its sha256 is not the one that {owners[file]} says"
        return None

    for file, wrong in zip(owners, map_calls(store, look, owners), strict=True):
        if wrong is not None:
            serving = owners[file].startswith("models/")
            then = "roll back with: atb models rollback SYMBOL" if serving else "train the symbol again, with --force"
            yield StoreProblem(file.key, wrong[0], wrong[1], then)


def _sha256(store: Store, key: str) -> str:
    with tempfile.TemporaryDirectory(prefix="atb-check-") as folder:
        path, digest = Path(folder, "object"), hashlib.sha256()
        try:
            store.get_file(key, path)
        except (NotFound, SpecError):
            return ""
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
        return digest.hexdigest()


def _check_pointers(documents: Mapping[str, Document], inventory: Inventory) -> Iterator[StoreProblem]:
    """Hints that point to nothing, and manifests that are out of date about a result."""
    for key, document in documents.items():
        if isinstance(document, ResultPointer):
            target = keys.result(document.run, document.job)
            result = documents.get(target)
            if not isinstance(result, Result):
                yield StoreProblem(key, "stale", f"it points to {target}, which is not there", "nothing: it is a hint")
            elif keys.result_index(result.spec_digest) != key:
                yield StoreProblem(key, "stale", f"{target} is of another spec", "nothing: it is a hint")
        elif isinstance(document, Champion) and document.entry not in inventory.entries:
            then = "restore it from a backup: nothing else says what was decided"
            yield StoreProblem(document.entry, "missing", f"{key} names it", then)
        elif isinstance(document, Manifest):
            own = f"runs/{document.run}/"
            gone = [job.result for job in document.jobs if job.result is not None and job.result.startswith(own)]
            missing = [result for result in gone if result not in documents]
            if missing:
                why = f"it says that {missing[0]} is there" + (f", and {len(missing) - 1} more" * (len(missing) > 1))
                yield StoreProblem(key, "stale", why, f"make it again with: atb-launch collect {document.run}")


def _latest_results(documents: Mapping[str, Document]) -> dict[str, str]:
    """The key of the latest result of each spec, by the key of its pointer. Results of an earlier version don't say
    what their bars were read from, which a pointer must."""
    results = {key: document for key, document in documents.items() if isinstance(document, Result)}
    known = [key for key, result in results.items() if result.bars.sources]
    return {
        keys.result_index(results[key].spec_digest): key for key in sorted(known, key=lambda k: results[k].finished)
    }


def _find_lost_pointers(latest: Mapping[str, str], inventory: Inventory) -> Iterator[StoreProblem]:
    """Results that can't be found by their spec, which would be trained again though nothing has changed."""
    for key, result in latest.items():
        if key not in inventory.entries:
            why = f"{result} is not found by its spec, and would be trained again"
            yield StoreProblem(key, "missing", why, "make it again with --repair", made_from=result)


def _find_leftovers(inventory: Inventory) -> Iterator[StoreProblem]:
    """What processes that were killed have left."""
    for key, entry in inventory.entries.items():
        age = inventory.now - entry.modified.timestamp()
        if key.startswith("probes/") and age > PROBE_SECONDS:
            yield StoreProblem(key, "leftover", "a probe whose process was killed", "sweep it with --repair")
        elif key.startswith("bars/") and key.endswith("/claim") and age > CLAIM_SECONDS:
            yield StoreProblem(
                key, "leftover", "a claim on a download whose process was killed", "sweep it with --repair"
            )
