"""Folders that a command fills as a whole, and replaces only where all that is in them is what it wrote there."""

from __future__ import annotations

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
    """Something in a folder that is not as the command left it; empty if there is none.

    ``marker`` is the name of the file that says what else was written; ``read`` gives the sha256 of each by its path,
    and raises SpecError for a foreign one.
    """
    if not folder.is_dir():
        return "it is no folder"
    there = sorted(folder.rglob("*"))
    if not there:
        return ""
    try:
        with open(folder / marker, "rb", opener=open_file) as file:
            files = read(file.read(_LARGEST)) if not (folder / marker).is_symlink() else {}
    except (SpecError, OSError):
        files = {}
    ours = {folder / path: digest for path, digest in files.items()}
    kept = {folder / marker, *(parent for path in ours for parent in path.parents)} if ours else set()
    for path in there:
        if "__pycache__" in path.relative_to(folder).parts:  # Python's own, beside an exported strategy
            continue
        if path.is_symlink() or (path not in kept and not _is_unchanged(path, ours.get(path))):
            return path.relative_to(folder).as_posix()
    return ""


def _is_unchanged(path: Path, digest: str | None) -> bool:
    try:
        return digest is not None and digest_file(path) == digest
    except OSError:  # a folder, say
        return False


@contextmanager
def replaced_folder(folder: Path) -> Iterator[Path]:
    """A new folder to write to, which takes the place of ``folder`` once all is written; if not, that stays as it is.

    A process that is killed leaves the former one whole, or in its last moment beside it in a folder whose name begins
    with a dot. Raises SpecError where a file can't be written.
    """
    work = None
    try:
        with suppress(FileExistsError):  # where that is no folder, the next line says so
            folder.parent.mkdir(parents=True)
        work = Path(tempfile.mkdtemp(prefix=f".{folder.name[:60]}.", dir=folder.parent))
        new, former = work / "new", work / "former"
        new.mkdir()
        yield new
        if folder.exists():
            os.replace(folder, former)
        try:
            os.replace(new, folder)
        except OSError:
            with suppress(FileNotFoundError):
                os.replace(former, folder)
            raise
    except OSError as error:
        raise SpecError(f"{folder} can't be written: {error.strerror}; name another folder") from None
    finally:
        if work is not None:
            shutil.rmtree(work, ignore_errors=True)
