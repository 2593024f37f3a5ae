"""Which files of a directory or a store hold a symbol's bars, by their names: light enough for the launcher."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from atb.contract.sources import plain_symbol
from atb.errors import DataError
from atb.storage.store import Store

IN_STORE = "store:"
_NAME = re.compile(
    r"(?P<symbol>.+?)(?:[-_](?P<timeframe>[1-9][0-9]*[mhdw]))?(?:-(?P<period>[0-9]{4}-[0-9]{2}(?:-[0-9]{2})?)|-futures)?"
    r"\.(?P<kind>(?i:parquet|feather|csv|csv\.gz|zip))"
)


@dataclass(frozen=True)
class BarFile:
    """A file that holds a symbol's bars, of one timeframe or of any (None). Files of one ``series`` are the months or
    days of one download."""

    where: str
    market: str
    timeframe: str | None
    series: tuple[str, ...]
    period: str | None


def parse_name(where: str) -> BarFile | None:
    """What a file's name says; None where it is not one of bars."""
    name = where.rpartition("/")[2]
    match = _NAME.fullmatch(name)
    if match is None or name.startswith("."):
        return None
    series = (match["symbol"], match["timeframe"] or "", match["kind"].lower())
    return BarFile(where, plain_symbol(match["symbol"]), match["timeframe"], series, match["period"])


class BarFolders:
    """Folders of bars, each listed once however many symbols are asked for. ``path``: a directory, or ``store:FOLDER``
    of the store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, dict[str, list[BarFile]]] = {}

    def answering(self, path: str, symbol: str, timeframe: str) -> list[BarFile]:
        """The files that answer to a symbol and timeframe, in order. Raises DataError, StoreError."""
        if path not in self._known:
            by_market: dict[str, list[BarFile]] = {}
            for file in filter(None, map(parse_name, sorted(list_files(path, self._store)))):
                by_market.setdefault(file.market, []).append(file)
            self._known[path] = by_market
        found = self._known[path].get(plain_symbol(symbol), [])
        return [file for file in found if file.timeframe in (timeframe, None)]


def list_files(path: str, store: Store) -> list[str]:
    """What lies in a directory, or in a folder of the store (``store:FOLDER``), and not deeper. Raises DataError,
    StoreError."""
    try:
        if path.startswith(IN_STORE):
            inside = path.removeprefix(IN_STORE).strip("/")
            prefix = f"{inside}/" if inside else ""
            return [entry.key for entry in store.list(prefix) if "/" not in entry.key[len(prefix) :]]
        folder = Path(path).expanduser()
        if not folder.is_dir():
            raise DataError(f"there is no directory {path}; name one that exists, or {IN_STORE}FOLDER for the store")
        return [str(file) for file in folder.iterdir()]
    except (RuntimeError, ValueError) as error:
        raise DataError(f"{path!a} is not a directory: {error}; write its path in full") from None
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}; make it a readable directory") from None
