"""Mending what ``check`` has found: moved aside, made again, or swept. Doing it twice changes nothing more."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from atb.contract import keys
from atb.documents.attempt import Claim
from atb.documents.result import Result, ResultPointer
from atb.errors import AtbError, NotFound, PreconditionFailed, Unavailable, Unreadable
from atb.storage import DirectoryStore, Store
from atb.storage.quarantine import copy_aside, read_damaged, set_aside
from atb.storage.read import find_entry, read_document
from launcher.records.job_record import read_result_head
from launcher.records.manifest import collect
from launcher.records.run_record import RunRecord
from launcher.upkeep.check import StoreProblem, read_place
from launcher.upkeep.places import place_of

_OLD_SECONDS = 86_400.0
"""Our temporary folders that are older than this were left by a killed process: none is needed for that long."""
_TEMPORARY = ("atb-bundle-*", "atb-quarantine-*", "atb-check-*")


def repair_store(store: Store, findings: Iterable[StoreProblem]) -> Iterator[StoreProblem]:
    """Mend what can be mended; yields each finding with what was done. Raises StoreError.

    What changed since it was found is looked at again, so that a run that goes on meanwhile loses nothing.
    """
    manifests = []  # made again once all that they are made from is mended
    for finding in findings:
        if (act := _find_remedy(finding)) is None:
            yield finding
        elif act is _make_manifest:
            manifests.append(finding)
        else:
            yield _mend(store, finding, act)
    for finding in manifests:
        yield _mend(store, finding, _make_manifest)


_Act = Callable[[Store, StoreProblem], str]
"""Mends one finding; returns what was done. Raises AtbError where it can't."""


def _find_remedy(finding: StoreProblem) -> _Act | None:
    place = place_of(finding.key)
    if finding.what == "leftover":
        return _remove
    if finding.what == "missing" and finding.made_from:
        return _make_pointer
    if place is None or place.care == "keep" or finding.what not in ("unreadable", "misplaced", "stale"):
        return None
    return _replace_claim if place.care == "replace" else _make_manifest if place.care == "make again" else _move


def _mend(store: Store, finding: StoreProblem, act: _Act) -> StoreProblem:
    try:
        return replace(finding, repaired=act(store, finding))
    except NotFound:
        return replace(finding, repaired="nothing: it is gone")
    except PreconditionFailed:
        return replace(finding, repaired="nothing: it has changed since")
    except AtbError as error:
        if isinstance(error, Unavailable) and error.retry_seconds:
            raise  # the store has been waited for: not once more for each finding
        return replace(finding, then=f"it could not be mended: {error}")


def sweep_machine(store: Store) -> Iterator[StoreProblem]:
    """What killed processes left beside the objects: half-written files and locks of a directory, and temporary
    folders of this machine."""
    if isinstance(store, DirectoryStore):
        for path in store.sweep_staging(_OLD_SECONDS):
            yield StoreProblem(f".staging/{path.name}", "leftover", "a file whose writer was killed", "", "removed")
    for pattern in _TEMPORARY:
        for folder in Path(tempfile.gettempdir()).glob(pattern):
            with suppress(OSError):
                if folder.is_dir() and not folder.is_symlink() and time.time() - folder.stat().st_mtime > _OLD_SECONDS:
                    shutil.rmtree(folder)
                    yield StoreProblem(str(folder), "leftover", "a folder whose process was killed", "", "removed")


def _remove(store: Store, finding: StoreProblem) -> str:
    store.delete(finding.key)
    return "removed"


def _make_manifest(store: Store, finding: StoreProblem) -> str:
    """Put another manifest in the place of one that is out of date or can't be read. Were that moved away first, a kill
    in between would leave a run that nobody has collected."""
    key = finding.key
    if finding.what != "stale" and _is_in_order(store, key):
        return "nothing: it is in order now"
    if find_entry(store, keys.plan(key.split("/")[1])) is None:
        return _move(store, finding)  # of no run that there is
    copy = "" if finding.what == "stale" else f"copied to {copy_aside(store, key)[0]}, and "
    collect(store, RunRecord.load(store, key.split("/")[1]))
    return f"{copy}made again"


def _make_pointer(store: Store, finding: StoreProblem) -> str:
    """Write the pointer to a result once more, unless there is one again."""
    result = Result.from_bytes(store.get(finding.made_from), finding.made_from)
    store.put_if_absent(finding.key, ResultPointer.of(result).to_bytes())
    return f"made again from {finding.made_from}"


def _replace_claim(store: Store, finding: StoreProblem) -> str:
    """Put a claim of nobody in the place of one that can't be read. Were it gone, its attempt may live and another
    would get its number; a living attempt soon writes its own again."""
    key = finding.key
    entry = find_entry(store, key)
    data, etag = read_damaged(store, key)
    if entry is None:
        raise PreconditionFailed(key)
    try:
        Claim.from_bytes(data, key)
        return "nothing: it is in order now"
    except Unreadable:
        target = keys.quarantine(key, hashlib.sha256(data).hexdigest())
    nobody = Claim(attempt=int(key.split("/")[-2]), host="", process=0, started=entry.modified)
    store.put(target, data)
    store.put_if_match(key, nobody.to_bytes(), etag)
    return f"moved to {target}; its number stays taken"


def _move(store: Store, finding: StoreProblem) -> str:
    if _points_right(store, finding.key) if finding.what == "stale" else _is_in_order(store, finding.key):
        return "nothing: it is in order now"
    moved = f"moved to {set_aside(store, finding.key)}"
    if finding.made_from:
        moved += f", and {_mend(store, finding, _make_pointer).repaired or 'found by the next check'}"
    return moved


def _is_in_order(store: Store, key: str) -> bool:
    """Whether a document that could not be read can be, or is gone."""
    place, entry = place_of(key), find_entry(store, key)
    return place is None or entry is None or read_place(store, key, place, entry)[1] is None


def _points_right(store: Store, key: str) -> bool:
    """Whether a job has written a pointer anew that led nowhere."""
    try:
        pointer = read_document(store, ResultPointer, key)
        return keys.result_index(read_result_head(store, pointer.run, pointer.job).spec_digest) == key
    except (NotFound, Unreadable):
        return False
