"""Whether what bars were read from is unchanged, decided without reading bars: light enough for the launcher.

An origin is a name and a fingerprint, kept with a committed result:

    sample                                       made up: follows from the code
    bars/binance/spot/BTCUSDT/1h/2026-01.parquet  a cached month: the digest of its rows, from the index beside it
    bars/…/2026-02.parquet@1771027200000         the same of its rows before that instant
    file:/data/BTCUSDT_1h.csv                    a file of this machine: size, time of change, digest
    store:mine/BTCUSDT_1h.csv                    an object of the store: its etag and digest
    files:BTCUSDT:1h:/data                       which files of a directory, or of store:FOLDER, answer to a symbol

A file that was touched, or written again as it was, has another time of change or etag, and the same digest: it is read
once more to tell.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from atb.contract.sources import plain_symbol
from atb.documents.bars_index import BarsIndex
from atb.errors import DataError, NotFound, SpecError
from atb.storage.bar_files import IN_STORE, BarFile, BarFolders
from atb.storage.read import find_entry
from atb.storage.store import Store

SAMPLE = "sample"


def changed_origin(recorded: Mapping[str, str], store: Store, folders: BarFolders | None = None) -> str | None:
    """Why the bars may differ from those recorded, in words; None where every origin is as it was. ``folders``: shared
    by whoever asks for many."""
    if not recorded:
        return "what the bars were read from is not known"
    folders, indexes = folders or BarFolders(store), dict[str, BarsIndex]()
    for name, fingerprint in recorded.items():
        if not _is_same(name, fingerprint, store, indexes, folders):
            return f"{name} has changed"
    return None


def file_origin(path: Path) -> tuple[bytes, tuple[str, str]]:
    """The content of a file of this machine, and its origin."""
    stamp = _stamp(path)  # before it is read: what is written meanwhile has a later one
    data = path.read_bytes()
    return data, (f"file:{path.absolute()}", f"{stamp} {content_digest(data)}")


def object_origin(key: str, store: Store) -> tuple[bytes, tuple[str, str]]:
    """The content of an object of the store, and its origin."""
    etag = _etag(key, store)
    data = store.get(key)
    return data, (f"store:{key}", f"{etag} {content_digest(data)}")


def folder_origin(path: str, symbol: str, timeframe: str, files: Sequence[BarFile]) -> tuple[str, str]:
    """The origin that the choice of these files is: another one that answers later is another choice."""
    place = path if path.startswith(IN_STORE) else str(Path(path).expanduser().absolute())
    return f"files:{plain_symbol(symbol)}:{timeframe}:{place}", _names_digest(files)


def content_digest(data: bytes) -> str:
    """32 hex digits of the sha256."""
    return hashlib.sha256(data).hexdigest()[:32]


def _names_digest(files: Sequence[BarFile]) -> str:
    return content_digest("\n".join(file.where.rpartition("/")[2] for file in files).encode("utf-8", "surrogateescape"))


def _is_same(name: str, fingerprint: str, store: Store, indexes: dict[str, BarsIndex], folders: BarFolders) -> bool:
    """Whether an origin is unchanged, decided without reading it where possible."""
    kind, _, place = name.partition(":")
    if kind == "files":
        symbol, timeframe, path = place.split(":", 2)
        try:
            return _names_digest(folders.answering(path, symbol, timeframe)) == fingerprint
        except DataError:
            return False
    if kind not in ("file", "store"):
        return _fingerprint(name, store, indexes) == fingerprint
    stamp, _, digest = fingerprint.partition(" ")
    try:
        now = _stamp(Path(place)) if kind == "file" else _etag(place, store)
        if now == stamp:
            return True
        return (
            bool(digest) and content_digest(Path(place).read_bytes() if kind == "file" else store.get(place)) == digest
        )
    except (OSError, NotFound):
        return False


def _stamp(path: Path) -> str:
    stat = path.stat()
    return f"{stat.st_size}-{stat.st_mtime_ns}"


def _etag(key: str, store: Store) -> str:
    entry = find_entry(store, key)
    return "" if entry is None else entry.etag


def _fingerprint(name: str, store: Store, indexes: dict[str, BarsIndex]) -> str | None:
    if name == SAMPLE:
        return SAMPLE
    key, _, cut = name.partition("@")
    folder, _, month = key.removesuffix(".parquet").rpartition("/")
    if folder not in indexes:
        index = f"{folder}/index.json"
        try:
            indexes[folder] = BarsIndex.from_bytes(store.get(index), index)
        except (NotFound, SpecError):
            indexes[folder] = BarsIndex()
    entry = indexes[folder].months.get(month)
    if entry is None:
        return None
    return entry.cuts.get(cut) if cut else entry.digest
