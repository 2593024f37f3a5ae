"""What is wrong in a store: every document read, every bundle's files compared with the result that names them."""

from __future__ import annotations

import hashlib
import shlex
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

from atb.clock import SYSTEM_CLOCK, Clock
from atb.contract import keys
from atb.documents.champion import Champion, HistoryEntry, Signal
from atb.documents.manifest import Manifest
from atb.documents.result import FileEntry, Result, ResultPointer
from atb.errors import Denied, NotFound, SpecError, Unreadable
from atb.registry.champions import ModelKey, validate_decision
from atb.registry.pull import bundle_sizes
from atb.schema import Document
from atb.storage import Entry, Store
from atb.storage.read import find_entry, map_calls, read_document
from atb.storage.store_clock import read_clock
from launcher.upkeep.places import Place, place_of

PROBE_SECONDS = 3_600.0
CLAIM_SECONDS = 3_600.0
"""Older than this, a probe and a claim on a download were left by a process that was killed."""
_CHUNK = 1 << 20

_T = TypeVar("_T")
What = Literal["unreadable", "denied", "misplaced", "missing", "altered", "stale", "leftover"]


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


_PARTS = ("models/", "bars/", "memory/", keys.RESULTS, keys.SIGNALS, "probes/")
"""Where objects of ours lie, beside the runs."""


class _Found(NamedTuple):
    """A result, as its pointer needs it. ``known``: it says what its bars were read from, which a pointer must; results
    of an earlier version don't."""

    finished: datetime
    key: str
    found_by: str
    known: bool


@dataclass
class _Seen:
    """The little of the documents read that others are compared with."""

    results: dict[str, _Found] = field(default_factory=dict)
    pointers: dict[str, str] = field(default_factory=dict)
    """The result that each pointer names; none for one that can't be read."""
    files: set[str] = field(default_factory=set)
    """Files of champions, which are compared already."""
    hidden: set[str] = field(default_factory=set)
    """Documents and folders that this user may not read: nothing is known of what is in them."""

    def hide(self, problem: Denied) -> StoreProblem:
        """Remember a folder that can't be listed."""
        found = _denied(problem)
        self.hidden.add(found.key)
        return found

    def hides(self, key: str) -> bool:
        """Whether an object may be there although it was not read."""
        return any(key == each or key.startswith(f"{each}/") for each in self.hidden)

    def add(self, key: str, document: Document | None) -> None:
        """Remember a document of the store, or that there is one that can't be read."""
        if isinstance(document, Result):
            found_by = keys.result_index(document.spec_digest)
            known = bool(document.bars.sources) and place_of(found_by) is not None
            self.results[key] = _Found(document.finished, key, found_by, known)
        elif key.startswith(keys.RESULTS):
            pointer = document if isinstance(document, ResultPointer) else None
            self.pointers[key] = keys.result(pointer.run, pointer.job) if pointer is not None else ""
        elif isinstance(document, Champion):
            self.files.update(file.key for file in document.files)

    def latest(self) -> dict[str, str]:
        """The key of the latest result of each spec, by the key of its pointer."""
        return {result.found_by: result.key for result in sorted(self.results.values()) if result.known}


def check_store(store: Store, *, hashes: bool = True, clock: Clock = SYSTEM_CLOCK) -> list[StoreProblem]:
    """What is wrong, in the order of the keys. ``hashes``: also read every file of every bundle. Raises StoreError.

    Champions are read first, and each run by itself: a store has hundreds of thousands of documents, too many to hold.
    """
    now, seen = read_clock(store, clock), _Seen()
    found: list[StoreProblem] = []
    denied: list[StoreProblem] = []
    for part in _PARTS:
        found += _check_part(store, _allowed(store.list(part), seen, denied), {}, seen, now, hashes)
    for run in _allowed(store.folders(keys.RUNS), seen, denied):
        listed = list(_allowed(store.list(keys.run_prefix(run)), seen, denied))
        sizes = {entry.key: entry.size for entry in listed}
        found += _check_part(store, listed, sizes, seen, now, hashes)
    found += denied
    latest = seen.latest()
    found = [
        replace(each, made_from=latest.get(each.key, "")) for each in [*found, *_check_pointers(store, seen, latest)]
    ]
    return sorted(dict.fromkeys(found), key=lambda finding: (finding.key, finding.what))


def _allowed(listed: Iterator[_T], seen: _Seen, denied: list[StoreProblem]) -> Iterator[_T]:
    """What can be listed; ``denied`` gets a folder that can't be."""
    try:
        yield from listed
    except Denied as problem:
        denied.append(seen.hide(problem))


def _denied(problem: Unreadable) -> StoreProblem:
    return StoreProblem(problem.key.rstrip("/"), "denied", str(problem), "check again as a user who may read it")


def read_place(store: Store, key: str, place: Place, entry: Entry) -> tuple[Document | None, StoreProblem | None]:
    """The document at a key, or what is wrong with it. Raises StoreError."""
    try:
        document = read_document(store, place.kind, key, entry=entry, **place.identity)
        if isinstance(document, HistoryEntry):
            validate_decision(document, key)
        if isinstance(document, Champion | HistoryEntry | Signal) and _folder_of(document) != key.rpartition("/")[0]:
            why = f"it is the {document.kind} of {ModelKey.of(document)}"
            return None, StoreProblem(key, "misplaced", why, place.then)
        return document, None
    except NotFound:
        return None, None  # it was removed in between
    except Denied as problem:
        return None, _denied(problem)
    except Unreadable as problem:
        what: What = "misplaced" if "wrong place" in str(problem) else "unreadable"
        return None, StoreProblem(key, what, str(problem), place.then)


def _folder_of(document: Champion | HistoryEntry | Signal) -> str:
    """Where a document of a model key lies."""
    prefix = ModelKey.of(document).prefix
    if isinstance(document, Signal):
        return f"{keys.SIGNALS}{prefix.removeprefix('models/')}"[:-1]
    return (prefix if isinstance(document, Champion) else f"{prefix}{keys.CHAMPION_HISTORY}")[:-1]


def _check_part(
    store: Store, entries: Iterable[Entry], sizes: Mapping[str, int], seen: _Seen, now: float, hashes: bool
) -> Iterator[StoreProblem]:
    """What is wrong with some of a store's objects. ``sizes``: of files that are known to be there."""

    def look(entry: Entry) -> tuple[str, Document | None, list[StoreProblem]]:
        place = place_of(entry.key)
        if place is None:
            return entry.key, None, [*_find_leftover(entry, now)]
        document, problem = read_place(store, entry.key, place, entry)
        problems = [problem] if problem is not None else []
        try:
            if isinstance(document, Champion) and find_entry(store, document.entry) is None:
                then = "restore it from a backup: nothing else says what was decided"
                problems.append(StoreProblem(document.entry, "missing", f"{entry.key} names it", then))
            if isinstance(document, Result | Champion):
                served = ModelKey.of(document) if isinstance(document, Champion) else None
                problems += _check_files(store, entry.key, document.files, sizes, seen, hashes, served)
        except Denied as denied:
            problems.append(_denied(denied))
        return entry.key, document, problems

    manifests: list[tuple[str, Manifest]] = []
    for key, document, problems in map_calls(store, look, entries):
        yield from problems
        seen.hidden.update(problem.key for problem in problems if problem.what == "denied")
        if isinstance(document, Manifest):
            manifests.append((key, document))
        else:
            seen.add(key, document)
    for key, manifest in manifests:
        yield from _check_manifest(key, manifest, seen)


def _check_files(
    store: Store,
    owner: str,
    files: Sequence[FileEntry],
    sizes: Mapping[str, int],
    seen: _Seen,
    hashes: bool,
    served: ModelKey | None,
) -> Iterator[StoreProblem]:
    """The files that a result or a champion names: there, of their size, and of their hash. ``served``: the champion's
    model key."""
    left = [file for file in files if file.key not in seen.files]
    if any(file.key not in sizes for file in left):  # of another run, or written since that was listed
        sizes = bundle_sizes(store, left)
    then = "train the symbol again, with --force"
    if served is not None:
        then = f"roll back with: atb models rollback {shlex.join(served.words)}"
    for file in left:
        if file.key not in sizes:
            yield StoreProblem(file.key, "missing", f"{owner} names it", then)
        elif sizes[file.key] != file.size:
            why = f"it has {sizes[file.key]:,} bytes and not {file.size:,}, says {owner}"
            yield StoreProblem(file.key, "altered", why, then)
        elif hashes and _sha256(store, file.key) != file.sha256:
            yield StoreProblem(file.key, "altered", f"its sha256 is not the one that {owner} says", then)


def _sha256(store: Store, key: str) -> str:
    with tempfile.TemporaryDirectory(prefix="atb-check-") as folder:
        path, digest = Path(folder, "object"), hashlib.sha256()
        try:
            store.get_file(key, path)
        except Denied:
            raise
        except (NotFound, SpecError):
            return ""
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
        return digest.hexdigest()


def _check_manifest(key: str, manifest: Manifest, seen: _Seen) -> Iterator[StoreProblem]:
    """Whether a manifest is out of date about a result of its run."""
    own = keys.run_prefix(manifest.run)
    named = [job.result for job in manifest.jobs if job.result is not None and job.result.startswith(own)]
    missing = [result for result in named if result not in seen.results and not seen.hides(result)]
    if missing:
        why = f"it says that {missing[0]} is there" + (f", and {len(missing) - 1} more" * (len(missing) > 1))
        yield StoreProblem(key, "stale", why, f"make it again with: atb-launch collect {manifest.run}")


def _check_pointers(store: Store, seen: _Seen, latest: Mapping[str, str]) -> Iterator[StoreProblem]:
    """Hints that point to nothing; and results that can't be found by their spec, which would be trained again though
    nothing has changed."""
    for key, target in seen.pointers.items():
        if target and seen.hides(target):
            continue
        if target and target not in seen.results:
            yield StoreProblem(key, "stale", f"it points to {target}, which is not there", "nothing: it is a hint")
        elif target and seen.results[target].found_by != key:
            yield StoreProblem(key, "stale", f"{target} is of another spec", "nothing: it is a hint")
    for key in latest.keys() - seen.pointers.keys():
        if seen.hides(key) or find_entry(store, key) is not None:
            continue  # a job has written it meanwhile
        why = f"{latest[key]} is not found by its spec, and would be trained again"
        yield StoreProblem(key, "missing", why, "make it again with --repair")


def _find_leftover(entry: Entry, now: float) -> Iterator[StoreProblem]:
    """What a process that was killed has left."""
    key, age = entry.key, now - entry.modified.timestamp()
    if key.startswith("probes/") and abs(age) > PROBE_SECONDS:
        yield StoreProblem(key, "leftover", "a probe whose process was killed", "sweep it with --repair")
    elif key.startswith("bars/") and key.endswith("/claim") and abs(age) > CLAIM_SECONDS:
        yield StoreProblem(key, "leftover", "a claim on a download whose process was killed", "sweep it with --repair")
