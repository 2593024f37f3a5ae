"""Reading champions: the pointer, all pointers, and the history with what took effect."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from atb.contract import keys
from atb.contract.spec import Spec
from atb.documents.champion import Champion, HistoryEntry
from atb.documents.result import FileEntry
from atb.errors import NotFound, SpecError, StoreError
from atb.storage import Store


@dataclass(frozen=True)
class ModelKey:
    """What a champion is champion of. ``horizon``: how many bars ahead it forecasts the ``target``."""

    symbol: str
    timeframe: str
    preset: str
    target: str = "return"
    horizon: int = 1

    @classmethod
    def of(cls, spec: Spec | Champion) -> ModelKey:
        """What the model of a spec is a candidate for, or a champion serves."""
        return cls(spec.symbol, spec.timeframe, spec.preset, spec.target, spec.horizon)

    def __str__(self) -> str:
        what = "" if (self.target, self.horizon) == ("return", 1) else f" {self.target} {self.horizon}"
        return f"{self.symbol} {self.timeframe} {self.preset}{what}"

    @property
    def prefix(self) -> str:
        """Where all about it lies."""
        return keys.model_prefix(self.symbol, self.timeframe, self.preset, self.target, self.horizon)

    @property
    def pointer(self) -> str:
        """The key of the pointer."""
        return f"{self.prefix}{keys.CHAMPION}"

    @property
    def history(self) -> str:
        """The prefix of the history."""
        return f"{self.prefix}{keys.CHAMPION_HISTORY}"


@dataclass(frozen=True)
class Decision:
    """An entry of the history and what came of it."""

    key: str
    entry: HistoryEntry
    effect: str


def read_champion(store: Store, model_key: ModelKey) -> tuple[Champion, str] | None:
    """The champion and its pointer's etag; None where there is none. Raises SpecError for a damaged pointer."""
    try:
        data, etag = store.get_with_etag(model_key.pointer)
    except NotFound:
        return None
    return Champion.from_bytes(data, model_key.pointer), etag


def require_champion(store: Store, model_key: ModelKey) -> Champion:
    """The champion. Raises SpecError where there is none."""
    found = read_champion(store, model_key)
    if found is None:
        raise SpecError(
            f"{model_key} has no champion in {store.url}; make one with: atb models promote RUN {model_key.symbol}"
        )
    return found[0]


def list_champions(store: Store, symbol: str | None = None) -> Iterator[Champion]:
    """Every champion, in the order of the keys."""
    for entry in store.list(keys.champions_prefix(symbol)):
        if entry.key.endswith(f"/{keys.CHAMPION}"):
            yield Champion.from_bytes(store.get(entry.key), entry.key)


def find_model_key(
    store: Store,
    symbol: str,
    timeframe: str | None = None,
    preset: str | None = None,
    target: str | None = None,
    horizon: int | None = None,
    *,
    declined: bool = False,
) -> ModelKey:
    """The one model key of a symbol that these words fit. ``declined``: also one that has a history and no champion.

    Raises SpecError where none or several fit.
    """
    found_keys = {ModelKey.of(each) for each in list_champions(store, symbol)}
    if declined:
        found_keys |= set(_keys_with_history(store, symbol))
    wanted = (symbol, timeframe, preset, target, horizon)
    fitting = sorted(
        (
            model_key
            for model_key in found_keys
            if all(word in (None, field) for word, field in zip(wanted, vars(model_key).values(), strict=True))
        ),
        key=str,
    )
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        words = " ".join(str(word) for word in wanted if word)
        raise SpecError(f"{words} has no champion in {store.url}; make one with: atb models promote RUN {symbol}")
    names = ("timeframe", "preset", "target", "horizon")
    differ = [f"--{name}" for name in names if len({getattr(model_key, name) for model_key in fitting}) > 1]
    raise SpecError(f"{symbol} has {len(fitting)} models ({', '.join(map(str, fitting))}); add {', '.join(differ)}")


def _keys_with_history(store: Store, symbol: str) -> Iterator[ModelKey]:
    for entry in store.list(keys.champions_prefix(symbol)):
        match entry.key.split("/"):
            case [_, _, timeframe, preset, "history", _]:
                yield ModelKey(symbol, timeframe, preset)
            case [_, _, timeframe, preset, what, "history", _]:
                target, _, horizon = what.rpartition("-")
                if target and horizon.isdigit():
                    yield ModelKey(symbol, timeframe, preset, target, int(horizon))


def read_history(
    store: Store, model_key: ModelKey, *, last: int | None = None, run: str | None = None
) -> list[Decision]:
    """Decisions, oldest first: all, the ``last`` ones, or those about a ``run``. No more entries are read than needed.

    An entry whose pointer never moved, since its writer died or lost, says so.
    """
    found = [item.key for item in store.list(model_key.history) if run is None or item.key.endswith(f"-{run}.json")]
    wanted = found if last is None else found[-last:]
    if not wanted:
        return []
    entries = {key: _read_entry(store, key) for key in wanted}
    champion = read_champion(store, model_key)
    current = champion[0].entry if champion else None
    effective = set()
    step = current
    while step is not None and step >= wanted[0]:  # keys sort by time, and each names one before it
        effective.add(step)
        step = (entries.get(step) or _read_entry(store, step)).replaced
    return [Decision(key, entry, _effect(key, entry, current, effective)) for key, entry in entries.items()]


def _read_entry(store: Store, key: str) -> HistoryEntry:
    return HistoryEntry.from_bytes(store.get(key), key)


def verify_files(store: Store, champion: Champion) -> None:
    """Read every file of the bundle and compare its hash. Raises StoreError that names the first bad one."""
    for file in champion.files:
        verify(file, store.get(file.key))


def verify(file: FileEntry, data: bytes) -> None:
    """Raise StoreError unless the data is the file that the result named."""
    if len(data) != file.size or hashlib.sha256(data).hexdigest() != file.sha256:
        raise StoreError(f"{file.key} is not what its result says it is (size or sha256); train the symbol again")


def _effect(key: str, entry: HistoryEntry, current: str | None, effective: set[str]) -> str:
    if entry.action == "decline":
        return "declined"
    if key == current:
        return "serving"
    return "replaced" if key in effective else "never took effect"
