"""Whether what bars were read from is still the same, told without reading bars: light enough for the launcher.

An origin is a name and a fingerprint, kept with a committed result:

    sample                                       made up: follows from the code
    bars/binance/spot/BTCUSDT/1h/2026-01.parquet  a cached month: the digest of its rows, from the index beside it
    bars/…/2026-02.parquet@1771027200000         the same of its rows before that instant
    file:/data/BTCUSDT_1h.csv                    a file of this machine: size and time of change
    store:mine/BTCUSDT_1h.csv                    an object of the store: its etag
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from atb.documents.bars_index import BarsIndex
from atb.errors import NotFound, SpecError
from atb.storage.store import Store

SAMPLE = "sample"


def changed_origin(recorded: Mapping[str, str], store: Store) -> str | None:
    """Why the bars may differ from those recorded, in words; None where every origin is as it was."""
    if not recorded:
        return "what the bars were read from is not known"
    indexes: dict[str, BarsIndex] = {}
    for name, fingerprint in recorded.items():
        if _fingerprint(name, store, indexes) != fingerprint:
            return f"{name} has changed"
    return None


def file_origin(path: Path) -> tuple[str, str]:
    """The origin of a file of this machine."""
    stat = path.stat()
    return f"file:{path.absolute()}", f"{stat.st_size}-{stat.st_mtime_ns}"


def object_origin(key: str, store: Store) -> tuple[str, str]:
    """The origin of an object of the store."""
    return f"store:{key}", next((entry.etag for entry in store.list(key) if entry.key == key), "")


def _fingerprint(name: str, store: Store, indexes: dict[str, BarsIndex]) -> str | None:
    if name == SAMPLE:
        return SAMPLE
    if name.startswith("file:"):
        path = Path(name.removeprefix("file:"))
        return file_origin(path)[1] if path.is_file() else None
    if name.startswith("store:"):
        return object_origin(name.removeprefix("store:"), store)[1]
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
