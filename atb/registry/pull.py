"""Fetching a champion's files, each verified before anything is put in place."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from atb.contract.bundle import CARD
from atb.documents.champion import Champion
from atb.documents.result import FileEntry
from atb.errors import SpecError
from atb.registry.champions import verify
from atb.storage import Store

POINTER_NAME = "champion.json"
"""Lies beside the pulled files, so that a later pull knows the folder as its own."""


def pull(store: Store, champion: Champion, folder: Path) -> list[Path]:
    """Fetch every file of the champion's bundle into ``folder``, all or nothing; an earlier pull there is replaced.

    Only a folder in which a pull wrote every file, unchanged, is replaced and so deleted. A pull that is
    killed leaves the former one whole, or in its last moment none: never a part of one. Raises SpecError where the
    folder holds anything else or can't be written, StoreError where a file is missing or damaged.
    """
    folder = folder.resolve() if folder.is_symlink() else folder
    if folder.exists() and (strange := _find_strange(folder)):
        raise SpecError(f"{folder} holds files that do not belong to a pulled model ({strange}); name a new folder")
    if Path.cwd().is_relative_to(folder.resolve()):
        raise SpecError(f"{folder} is the working directory; name a new folder in it")
    with replaced_folder(folder) as staging:
        for file in champion.files:
            data = read_file(store, file)
            target = staging / _safe(file)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        (staging / POINTER_NAME).write_bytes(champion.to_bytes())
    return [folder / _safe(file) for file in champion.files]


@contextmanager
def replaced_folder(folder: Path) -> Iterator[Path]:
    """A new folder to write to, which takes the place of ``folder`` once all is written; if not, that stays as it is.

    A process that is killed leaves the former one whole, or in its last moment none. Raises SpecError where a file
    can't be written.
    """
    staging, former = (folder.with_name(f".{folder.name}.{os.getpid()}{end}") for end in ("", ".former"))
    try:
        staging.mkdir(parents=True)
        yield staging
        if folder.exists():
            os.replace(folder, former)
        os.replace(staging, folder)
        shutil.rmtree(former, ignore_errors=True)
    except OSError as error:
        raise SpecError(f"{folder} can't be written: {error.strerror}; name another folder") from None
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _find_strange(folder: Path) -> str:
    """Something in a folder that no pull left there as it is; empty if there is none."""
    if not folder.is_dir():
        return "it is a file"
    there = sorted(path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    pointer = folder / POINTER_NAME
    if not there:
        return ""
    if pointer not in there or pointer.is_symlink():
        return there[0].name
    try:
        champion = Champion.from_bytes(pointer.read_bytes(), POINTER_NAME)
    except (SpecError, OSError):
        return POINTER_NAME
    ours = {folder / file.path: file for file in champion.files}
    for path in there:
        if path != pointer and (path not in ours or path.is_symlink() or not _is_unchanged(path, ours[path])):
            return path.relative_to(folder).as_posix()
    return ""


def _is_unchanged(path: Path, file: FileEntry) -> bool:
    return path.stat().st_size == file.size and hashlib.sha256(path.read_bytes()).hexdigest() == file.sha256


def read_file(store: Store, file: FileEntry) -> bytes:
    """One file of a bundle, verified."""
    data = store.get(file.key)
    verify(file, data)
    return data


def bundle_sizes(store: Store, files: Iterable[FileEntry]) -> dict[str, int]:
    """Bytes of each object that is there, by key, in the folders of a bundle's files. Raises StoreError."""
    folders = {file.key.removesuffix(file.path) for file in files}
    return {entry.key: entry.size for folder in folders for entry in store.list(folder)}


def bundle_file(files: tuple[FileEntry, ...], path: str, run: str) -> FileEntry:
    """The entry of one file of a bundle. Raises SpecError, naming the run, where it has none of that name."""
    for file in files:
        if file.path == path:
            return file
    raise SpecError(f"the model of run {run} has no {path}; its {CARD} says why")


def _safe(file: FileEntry) -> PurePosixPath:
    path = PurePosixPath(file.path)
    if path.is_absolute() or ".." in path.parts or path.name in ("", POINTER_NAME):
        raise SpecError(f"{file.key}: {file.path!r} is not a path inside a bundle")
    return path
