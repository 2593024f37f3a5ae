"""Which of a file system's entries are objects of a store: files whose names are text, and what is in them."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path

STAGING = ".staging"
"""Half-written files lie here, on the same file system, and are never listed."""


def walk_files(folder: str, begins: str = "") -> Iterator[os.DirEntry[str]]:
    """The files below a folder, in the order of their paths. A folder that goes away meanwhile has none. Raises OSError
    for one that can't be read: its files would seem to be gone.

    ``begins``: only what has a name in the folder itself that begins so is looked at.
    """
    try:
        with os.scandir(folder) as entries:
            inside = [(each.name + "/" * each.is_dir(follow_symlinks=False), each) for each in entries]
    except (FileNotFoundError, NotADirectoryError):
        return
    for name, each in sorted(inside, key=itemgetter(0)):
        if not each.name.startswith(begins) or not is_text(each.name):
            continue
        if not name.endswith("/"):
            if _is_file(each):
                yield each
        elif each.name != STAGING:
            yield from walk_files(each.path)


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
