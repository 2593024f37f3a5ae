"""Folders that a command fills as a whole, and replaces only where all that is in them is what it wrote there."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from atb.errors import SpecError
from atb.storage.files import digest_file, open_file

_LARGEST = 8 << 20
"""Bytes of the file that names the others."""


def real_path(folder: Path) -> Path:
    """The folder that a path leads to, through links; a link that leads to itself stays as it is."""
    return Path(os.path.realpath(folder))


def find_strange(folder: Path, marker: str, read: Callable[[bytes], Mapping[str, str]]) -> str:
    """Something in a folder that is not as the command left it; empty if there is none. Raises OSError.

    ``marker`` is the name of the file that says what else was written; ``read`` gives the sha256 of each by its path,
    and raises SpecError for a foreign one. Nothing more is looked at after the first: the folder may be a home.
    """
    if not folder.is_dir():
        return "it is no folder"
    try:
        with open(folder / marker, "rb", opener=open_file) as file:
            files = read(file.read(_LARGEST)) if not (folder / marker).is_symlink() else {}
    except (SpecError, OSError):
        files = {}
    ours = {folder / path: digest for path, digest in files.items()}
    kept = {folder / marker, *(parent for path in ours for parent in path.parents)} if ours else set()
    for path in _walk(folder):
        if "__pycache__" in path.relative_to(folder).parts:  # Python's own, beside an exported strategy
            continue
        if path.is_symlink() or (path not in kept and not _is_unchanged(path, ours.get(path))):
            return path.relative_to(folder).as_posix()
    return ""


def _walk(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path)


def _is_unchanged(path: Path, digest: str | None) -> bool:
    try:
        return digest is not None and digest_file(path) == digest
    except OSError:  # a folder, say
        return False


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One command at a time looks at, and replaces, what is in a folder."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _put_back(former: Path, folder: Path) -> None:
    try:
        os.replace(former, folder)
    except FileNotFoundError:
        return  # it has never been moved away
    except OSError as error:
        why = f"{folder} can't be replaced: {error.strerror}"
        raise SpecError(f"{why}; what was in it is in {former}") from None


@contextmanager
def replaced_folder(folder: Path, marker: str, read: Callable[[bytes], Mapping[str, str]], what: str) -> Iterator[Path]:
    """A new folder to write to, which takes the place of ``folder`` once all is written; if not, that stays as it is.

    Only a folder without anything strange (``find_strange``) is replaced, and so deleted: it is looked at before
    anything is written, and again once it has been moved aside. ``what``: what the command makes, for the message.
    A process that is killed leaves the former one whole, or in its last moment beside it in a folder whose name begins
    with a dot. Raises SpecError where the folder holds anything else or a file can't be written.
    """
    work = None

    def refuse_strange(place: Path) -> None:
        if strange := find_strange(place, marker, read):
            raise SpecError(f"{folder} holds files that do not belong to {what} ({strange}); name a new folder")

    try:
        if folder.exists():
            with _locked(folder.parent):
                refuse_strange(folder)
        with suppress(FileExistsError):  # where that is no folder, the next line says so
            folder.parent.mkdir(parents=True)
        work = Path(tempfile.mkdtemp(prefix=f".{folder.name[:60]}.", dir=folder.parent))
        new, former = work / "new", work / "former"
        new.mkdir()
        yield new
        with _locked(folder.parent):
            try:
                if folder.exists():
                    os.replace(folder, former)
                    refuse_strange(former)
                os.replace(new, folder)
            except BaseException:  # Ctrl-C as well
                kept, work = work, None  # what may be the user's is not deleted if it can't be put back
                _put_back(former, folder)
                work = kept
                raise
    except OSError as error:
        raise SpecError(f"{folder} can't be written: {error.strerror}; name another folder") from None
    finally:
        if work is not None:
            shutil.rmtree(work, ignore_errors=True)
