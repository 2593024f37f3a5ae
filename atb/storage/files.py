"""Which of a file system's entries are objects of a store: files whose names are text; what is in them, and why one
can't be read or written."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path

from atb.errors import AtbError, Denied, NotFound, StoreError, StoreSetting, Unreadable

STAGING = ".staging"
"""Half-written files lie here, on the same file system, and are never listed."""
_NO_FILE = (errno.ELOOP, errno.ENXIO)
"""A link that leads to itself, and a socket."""
_ACCESS = (StoreSetting, "give this user read and write access, or name another --store")
_FULL = (StoreError, "free some space, then continue with --resume")
_REMEDIES: dict[int | None, tuple[type[StoreError], str]] = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EACCES: _ACCESS,
    errno.EPERM: _ACCESS,
    errno.EROFS: (StoreSetting, "it is mounted read-only; name another --store"),
    errno.ENAMETOOLONG: (StoreSetting, "name another --store, with a shorter path"),
}


def walk_files(folder: str, denied: list[PermissionError], begins: str = "") -> Iterator[os.DirEntry[str]]:
    """The files below a folder, in the order of their paths. A folder that goes away meanwhile has none.

    ``denied`` gets the error of each folder that may not be read: its files only seem to be gone. ``begins``: only what
    has a name in the folder itself that begins so is looked at. Raises OSError for a folder that can't be read.
    """
    try:
        with os.scandir(folder) as entries:
            inside = [(each.name + "/" * each.is_dir(follow_symlinks=False), each) for each in entries]
    except (FileNotFoundError, NotADirectoryError):
        return
    except PermissionError as error:
        denied.append(error)
        return
    for name, each in sorted(inside, key=itemgetter(0)):
        if not each.name.startswith(begins) or not is_text(each.name):
            continue
        if not name.endswith("/"):
            if _is_file(each):
                yield each
        elif each.name != STAGING:
            yield from walk_files(each.path, denied)


def digest_file(path: Path) -> str:
    """The sha256 of a file in hex. Raises OSError."""
    with open(path, "rb", opener=open_file) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_file(path: str, flags: int) -> int:
    """Open a file. Raises FileNotFoundError for anything else: a pipe would be waited for, a device may have no end."""
    handle = os.open(path, flags | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise FileNotFoundError(errno.ENOENT, "no file", path)
    return handle


def explain_failure(key: str, url: str, error: OSError) -> StoreError:
    """Why something can't be done with an object."""
    if isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError) or error.errno in _NO_FILE:
        return NotFound(f"no object {key} in {url}")
    kind, remedy = _REMEDIES.get(error.errno, (StoreError, "look at the disk"))
    denied = isinstance(error, PermissionError) and error.filename is not None
    place = f" at {error.filename}" if denied else ""  # perhaps the folder of half-written files
    return kind(f"store {url} refused {key}: {error.strerror}{place}; {remedy}")


def explain_reading(key: str, url: str, error: OSError) -> AtbError:
    """Why an object, or all in a folder, can't be read: that is of this one, and no failure of the store."""
    if isinstance(error, PermissionError):
        what = f"{key} in {url}" if key else f"store {url}"
        return Denied(f"{what} can't be read: {error.strerror}; give this user read access", key)
    if error.errno == errno.EIO:
        return Unreadable(f"{key} in {url} can't be read: {error.strerror}; look at the disk", key)
    return explain_failure(key, url, error)


def is_text(name: str) -> bool:
    """Whether a name can be part of a key: keys are Unicode, names of files any bytes."""
    try:
        return name.isascii() or bool(name.encode())
    except UnicodeEncodeError:
        return False


def _is_file(each: os.DirEntry[str]) -> bool:
    """Also for a link to a file; what a link leads to may be out of reach."""
    try:
        return each.is_file()
    except OSError:
        return False
