"""A store in a directory: objects are files, written beside and moved into place."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import pwd
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from operator import itemgetter
from pathlib import Path
from typing import Self

from atb.errors import NotFound, PreconditionFailed, SpecError, StoreError
from atb.storage.store import Entry

_STAGING = ".staging"
"""Half-written files lie here, on the same file system, and are never listed."""
_NEVER = frozenset({"", ".", "..", _STAGING})
"""No key has a part like these."""


class DirectoryStore:
    """Keys are paths below ``root``. Conditional writes hold between processes of one machine."""

    endpoint_url: str | None = None
    concurrency = 1  # handing a read to a thread takes longer than the read: see benchmarks/books.py
    rejects_conditions = False

    def __init__(self, root: str | Path) -> None:
        self.on_wait: Callable[[str], None] = lambda words: None
        self.root = Path(root).expanduser()
        self._top = str(self.root).rstrip("/")
        self.url = str(root)

    def within(self, seconds: float) -> Self:
        return self

    def get(self, key: str) -> bytes:
        try:
            with open(self._name(key), "rb") as file:
                return file.read()
        except OSError as error:
            raise self._failure(key, error) from None

    def get_with_etag(self, key: str) -> tuple[bytes, str]:
        data = self.get(key)
        return data, hashlib.sha256(data).hexdigest()

    def put(self, key: str, data: bytes) -> str:
        return self._write(key, data, lambda staged, path: os.replace(staged, path))

    def put_if_absent(self, key: str, data: bytes) -> str:
        def publish(staged: Path, path: Path) -> None:
            os.link(staged, path)  # fails where the name exists, atomically
            staged.unlink()

        try:
            return self._write(key, data, publish)
        except FileExistsError:
            raise PreconditionFailed(f"{key} is already there in {self.url}") from None

    def put_if_match(self, key: str, data: bytes, etag: str) -> str:
        with self._locked(key):
            self._validate_unchanged(key, etag)
            return self._write(key, data, lambda staged, path: os.replace(staged, path))

    def list(self, prefix: str) -> Iterator[Entry]:
        top, _, begins = prefix.rpartition("/")
        start = len(self._top) + 1
        with self._explain(prefix):
            for each in _walk(f"{self._top}/{top}", begins):
                try:
                    stat = each.stat()
                except FileNotFoundError:
                    continue  # it went away
                etag = f"{stat.st_mtime_ns:x}-{stat.st_ino:x}-{stat.st_size:x}"
                yield Entry(each.path[start:], stat.st_size, etag, datetime.fromtimestamp(stat.st_mtime, UTC))

    def folders(self, prefix: str) -> Iterator[str]:
        with self._explain(prefix):
            try:
                found = sorted(path.name for path in (self.root / prefix).iterdir() if path.is_dir())
            except FileNotFoundError:
                return
        yield from (name for name in found if name != _STAGING)

    def delete(self, key: str) -> None:
        with self._explain(key):
            self._path(key).unlink(missing_ok=True)

    def delete_if_match(self, key: str, etag: str) -> None:
        with self._locked(key):
            self._validate_unchanged(key, etag)
            self.delete(key)

    def put_file(self, key: str, path: Path) -> str:
        digest = hashlib.sha256()

        def copy(staged: Path) -> None:
            with path.open("rb") as source, staged.open("wb") as target:
                while chunk := source.read(1 << 20):
                    digest.update(chunk)
                    target.write(chunk)
                os.fsync(target.fileno())

        self._publish(key, copy, lambda staged, target: os.replace(staged, target))
        return digest.hexdigest()

    def get_file(self, key: str, path: Path, *, damaged: bool = False) -> str:
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        with self._explain(key):
            try:
                shutil.copyfile(self._path(key), partial)
                os.replace(partial, path)
            finally:
                partial.unlink(missing_ok=True)
            return _digest(path)

    def identity(self) -> str:
        try:
            user = pwd.getpwuid(os.getuid()).pw_name
        except KeyError:  # a Pod's user id need not have a name
            user = str(os.getuid())
        return f"user {user} on this machine"

    def _validate_unchanged(self, key: str, etag: str) -> None:
        try:
            current = _digest(self._path(key))
        except FileNotFoundError:
            current = ""
        if current != etag:
            raise PreconditionFailed(f"{key} has changed in {self.url}")

    def _name(self, key: str) -> str:
        if "\0" in key or not _NEVER.isdisjoint(key.split("/")):
            raise SpecError(f"{key!r} is not a key")
        return f"{self._top}/{key}"

    def _path(self, key: str) -> Path:
        return Path(self._name(key))

    def _write(self, key: str, data: bytes, publish: Callable[[Path, Path], None]) -> str:
        def write(staged: Path) -> None:
            with staged.open("wb") as target:
                target.write(data)
                target.flush()
                os.fsync(target.fileno())

        self._publish(key, write, publish)
        return hashlib.sha256(data).hexdigest()

    def _publish(self, key: str, write: Callable[[Path], None], publish: Callable[[Path, Path], None]) -> None:
        path = self._path(key)
        staging = self.root / _STAGING
        with self._explain(key):
            try:
                staging.mkdir(parents=True, exist_ok=True)
                path.parent.mkdir(parents=True, exist_ok=True)
            except (FileExistsError, FileNotFoundError, NotADirectoryError):
                raise StoreError(f"store {self.url} can't hold {key}: name a directory as --store") from None
            staged = staging / uuid.uuid4().hex  # made with the rights that the umask leaves, unlike tempfile's
            try:
                write(staged)
                publish(staged, path)
            finally:
                staged.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _locked(self, key: str) -> Iterator[None]:
        staging = self.root / _STAGING
        with self._explain(key):
            staging.mkdir(parents=True, exist_ok=True)
            path = staging / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.lock"
            while True:
                lock = path.open("w")
                fcntl.flock(lock, fcntl.LOCK_EX)
                if _is_same(lock.fileno(), path):
                    break
                lock.close()  # its holder has removed it while we waited for it
        with lock:
            try:
                yield
            finally:
                path.unlink(missing_ok=True)  # held still, so that nobody else holds one of that name

    def sweep_staging(self, seconds: float) -> tuple[Path, ...]:
        """Remove what writers that were killed have left: half-written files of that age, and locks nobody holds.
        Returns what was removed. Raises StoreError."""
        swept = []
        with self._explain(_STAGING):
            for path in sorted((self.root / _STAGING).glob("*")):
                try:
                    if path.suffix == ".lock":
                        with path.open("r+") as lock:
                            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                            path.unlink()
                    elif time.time() - path.stat().st_mtime > seconds:
                        path.unlink()
                    else:
                        continue
                except (FileNotFoundError, BlockingIOError):
                    continue  # it is held, or gone
                swept.append(path)
        return tuple(swept)

    @contextlib.contextmanager
    def _explain(self, key: str) -> Iterator[None]:
        try:
            yield
        except FileExistsError:
            raise
        except OSError as error:
            raise self._failure(key, error) from None

    def _failure(self, key: str, error: OSError) -> StoreError | NotFound:
        if isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError):
            return NotFound(f"no object {key} in {self.url}")
        hint = {
            errno.ENOSPC: "free some space, then continue with --resume",
            errno.EDQUOT: "free some space, then continue with --resume",
            errno.EACCES: "give this user read and write access, or name another --store",
            errno.EROFS: "it is mounted read-only; name another --store",
        }.get(error.errno or 0, "look at the disk")
        return StoreError(f"store {self.url} refused {key}: {error.strerror}; {hint}")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_same(handle: int, path: Path) -> bool:
    """Whether an open file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _walk(folder: str, begins: str = "") -> Iterator[os.DirEntry[str]]:
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
        if not each.name.startswith(begins):
            continue
        if not name.endswith("/"):
            if each.is_file():
                yield each
        elif each.name != _STAGING:
            yield from _walk(each.path)
