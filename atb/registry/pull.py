"""Fetching a champion's files, each verified before anything is put in place."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from atb.contract.bundle import CARD
from atb.documents.champion import Champion
from atb.documents.result import FileEntry
from atb.errors import SpecError
from atb.registry.champions import verify
from atb.storage import Store
from atb.storage.folders import real_path, replaced_folder

POINTER_NAME = "champion.json"
"""Lies beside the pulled files, so that a later pull knows the folder as its own."""


def pull(store: Store, champion: Champion, folder: Path) -> list[Path]:
    """Fetch every file of the champion's bundle into ``folder``, all or nothing; an earlier pull there is replaced.

    Only a folder in which a pull wrote every file, unchanged, is replaced and so deleted. Raises SpecError where the
    folder holds anything else or can't be written, StoreError where a file is missing or damaged.
    """
    folder = real_path(folder) if os.path.islink(folder) else folder
    if _is_in_use(folder):
        raise SpecError(f"{folder} is or contains the working directory; name another folder")
    with replaced_folder(folder, POINTER_NAME, _files_of, "a pulled model") as staging:
        for file in champion.files:
            data = read_file(store, file)
            target = staging / _safe(file)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        (staging / POINTER_NAME).write_bytes(champion.to_bytes())
    return [folder / _safe(file) for file in champion.files]


def _is_in_use(folder: Path) -> bool:
    try:
        return Path.cwd().is_relative_to(real_path(folder))
    except FileNotFoundError:  # it has been removed
        return False


def _files_of(pointer: bytes) -> dict[str, str]:
    return {file.path: file.sha256 for file in Champion.from_bytes(pointer, POINTER_NAME).files}


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
    if path.is_absolute() or ".." in path.parts or "\0" in file.path or path.name in ("", POINTER_NAME):
        raise SpecError(f"{file.key}: {file.path!r} is not a path inside a bundle")
    return path
