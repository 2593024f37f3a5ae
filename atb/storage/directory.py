"""A store in a directory: objects are files, written beside and moved into place."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import pwd
import shutil
import stat
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from atb.errors import PreconditionFailed, SpecError, StoreError
from atb.storage.files import (
    STAGING,
    digest_file,
    explain_failure,
    explain_reading,
    is_text,
    open_file,
    walk_files,
)
from atb.storage.store import LARGEST, Entry, too_large

_LATEST = 253_402_300_799.0
"""The last second of the year 9999: a file's time can be any."""
_NEVER = frozenset({"", ".", "..", STAGING})
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
            with open(self._name(key), "rb", opener=open_file) as file:
                if (size := os.fstat(file.fileno()).st_size) > LARGEST:
                    raise too_large(key, self.url, size)
                return file.read()
        except OSError as error:
            raise explain_reading(key, self.url, error) from None

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
            if _is_no_file(self._path(key)):
                raise self._in_the_way(key) from None
            raise PreconditionFailed(f"{key} is already there in {self.url}") from None

    def put_if_match(self, key: str, data: bytes, etag: str) -> str:
        with self._locked(key):
            self._validate_unchanged(key, etag)
            return self._write(key, data, lambda staged, path: os.replace(staged, path))

    def list(self, prefix: str) -> Iterator[Entry]:
        if not _may_begin(prefix):
            return
        top, _, begins = prefix.rpartition("/")
        start = len(self._top) + 1
        denied: list[PermissionError] = []
        with self._explain(prefix):
            for each in walk_files(f"{self._top}/{top}", denied, begins):
                try:
                    found = each.stat()
                except FileNotFoundError:
                    continue  # it went away
                except PermissionError as error:
                    denied.append(error)
                    continue
                etag = f"{found.st_mtime_ns:x}-{found.st_ino:x}-{found.st_size:x}"
                seconds = min(max(found.st_mtime, 0.0), _LATEST)
                yield Entry(each.path[start:], found.st_size, etag, datetime.fromtimestamp(seconds, UTC))
        if denied:
            raise explain_reading(str(denied[0].filename)[start:], self.url, denied[0])

    def folders(self, prefix: str) -> Iterator[str]:
        if not _may_begin(prefix):
            return
        with self._explain(prefix):
            try:
                found = sorted(path.name for path in (self.root / prefix).iterdir() if path.is_dir())
            except (FileNotFoundError, NotADirectoryError):
                return
            except PermissionError as error:
                raise explain_reading(prefix, self.url, error) from None
        yield from (name for name in found if name != STAGING and is_text(name))

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
        try:
            source = open(self._name(key), "rb", opener=open_file)  # noqa: SIM115  closed below
        except OSError as error:
            raise explain_reading(key, self.url, error) from None
        with self._explain(key), source:
            try:
                with partial.open("wb") as target:
                    shutil.copyfileobj(source, target, 1 << 20)
                os.replace(partial, path)
            finally:
                partial.unlink(missing_ok=True)
            return digest_file(path)

    def identity(self) -> str:
        try:
            user = pwd.getpwuid(os.getuid()).pw_name
        except KeyError:  # a Pod's user id need not have a name
            user = str(os.getuid())
        return f"user {user} on this machine"

    def _validate_unchanged(self, key: str, etag: str) -> None:
        try:
            current = digest_file(self._path(key))
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
        staging = self.root / STAGING
        with self._explain(key):
            try:
                staging.mkdir(parents=True, exist_ok=True)
                path.parent.mkdir(parents=True, exist_ok=True)
            except (FileExistsError, FileNotFoundError, NotADirectoryError):
                raise self._no_folder(key) from None
            staged = staging / uuid.uuid4().hex  # made with the rights that the umask leaves, unlike tempfile's
            try:
                write(staged)
                publish(staged, path)
            except IsADirectoryError:
                raise self._in_the_way(key) from None
            finally:
                staged.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _locked(self, key: str) -> Iterator[None]:
        staging = self.root / STAGING
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
        with self._explain(STAGING):
            for path in sorted((self.root / STAGING).glob("*")):
                try:
                    if path.suffix == ".lock":
                        with path.open("r+") as lock:
                            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                            path.unlink()
                    elif time.time() - path.stat().st_mtime > seconds:
                        path.unlink()
                    else:
                        continue
                except (FileNotFoundError, BlockingIOError, PermissionError):
                    continue  # it is held, gone, or another user's
                swept.append(path)
        return tuple(swept)

    @contextlib.contextmanager
    def _explain(self, key: str) -> Iterator[None]:
        try:
            yield
        except FileExistsError:
            raise
        except OSError as error:
            raise explain_failure(key, self.url, error) from None

    def _no_folder(self, key: str) -> StoreError:
        below = [self.root / parent for parent in reversed(Path(key).parents)][1:]
        wrong = next((folder for folder in below if os.path.lexists(folder) and not folder.is_dir()), None)
        then = "name a directory as --store" if wrong is None else f"{wrong} is no folder; move it away"
        return StoreError(f"store {self.url} can't hold {key}: {then}")

    def _in_the_way(self, key: str) -> StoreError:
        return StoreError(f"store {self.url} can't hold {key}: what has that name is no file; move it away")


def _is_no_file(path: Path) -> bool:
    """Whether what has that name can't be an object. Others may remove one at any time: then nothing has it."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return False
    return not (stat.S_ISREG(mode) or (stat.S_ISLNK(mode) and path.is_file()))


def _may_begin(prefix: str) -> bool:
    """Whether a key can begin so: a prefix made of names in a document leads nowhere else."""
    return "\0" not in prefix and _NEVER.isdisjoint(prefix.split("/")[:-1])


def _is_same(handle: int, path: Path) -> bool:
    """Whether an open file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
