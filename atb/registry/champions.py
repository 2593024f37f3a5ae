"""Reading champions: the pointer, all pointers, and the history with what took effect."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from atb.contract import keys
from atb.contract.sources import plain_symbol
from atb.contract.spec import Spec
from atb.documents.champion import Champion, HistoryEntry, Signal
from atb.documents.result import FileEntry
from atb.errors import NotFound, SpecError, StoreError, Unreadable
from atb.schema import printable
from atb.storage import Store
from atb.storage.fingerprints import SAMPLE
from atb.storage.read import map_calls, read_document, validate_place


@dataclass(frozen=True)
class ModelKey:
    """What identifies a champion. ``horizon``: how many bars ahead it forecasts the ``target``. ``market``: a symbol's
    perpetuals are another series of prices under the same name, of which a model of its spot market knows nothing; so
    are made-up bars, whose market is ``sample``."""

    symbol: str
    timeframe: str
    preset: str
    target: str = "return"
    horizon: int = 1
    market: str = "spot"

    @classmethod
    def of(cls, spec: Spec | Champion | HistoryEntry | Signal) -> ModelKey:
        """The key of a spec's model, or of a document about one."""
        market = SAMPLE if isinstance(spec, Spec) and spec.source == SAMPLE else spec.market
        return cls(spec.symbol, spec.timeframe, spec.preset, spec.target, spec.horizon, market)

    def __str__(self) -> str:
        kind = keys.model_kind(self.target, self.horizon, self.market).replace("-", " ")
        return f"{self.symbol} {self.timeframe} {self.preset} {kind}".rstrip()

    @property
    def words(self) -> list[str]:
        """The symbol and the options that name this one model in a command."""
        options = (word for name, value in vars(self).items() if name != "symbol" for word in (f"--{name}", str(value)))
        return [self.symbol, *options]

    @property
    def prefix(self) -> str:
        """Where all about it lies."""
        return keys.model_prefix(**vars(self))

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
    """An entry of the history and its outcome."""

    key: str
    entry: HistoryEntry
    effect: str


def read_champion(store: Store, model_key: ModelKey) -> tuple[Champion, str] | None:
    """The champion and its pointer's etag; None where none serves. Raises Unreadable for a damaged pointer."""
    found = read_pointer(store, model_key)
    return None if found is None or found[0].vacant else found


def read_pointer(store: Store, model_key: ModelKey) -> tuple[Champion, str] | None:
    """What the pointer says with its etag, also where it says that none serves. Raises as ``read_champion``."""
    try:
        data, etag = store.get_with_etag(model_key.pointer)
    except NotFound:
        return None
    champion = Champion.from_bytes(data, model_key.pointer)
    return validate_place(champion, model_key.pointer, **vars(model_key)), etag


def require_champion(store: Store, model_key: ModelKey) -> Champion:
    """The champion. Raises SpecError where there is none."""
    found = read_champion(store, model_key)
    if found is None:
        raise SpecError(
            f"{model_key} has no champion in {store.url}; make one with: atb models promote RUN {model_key.symbol}"
        )
    return found[0]


def scan_champions(store: Store, symbol: str | None = None) -> tuple[list[Champion], list[Unreadable]]:
    """Every champion, in the order of the keys; and why each pointer that can't be read can't. Raises StoreError.

    Ledgers, records and histories grow every night, so they are not listed: four requests for each model key find it,
    however old it is.
    """
    root = keys.champions_prefix(None)
    try:
        below = [keys.champions_prefix(symbol)] if symbol else [f"{root}{name}/" for name in store.folders(root)]
    except Unreadable as problem:
        return [], [problem]
    denied: list[Unreadable] = []

    def look(each: str) -> list[str]:
        try:
            return list(_pointers(store, each))
        except Unreadable as problem:
            denied.append(problem)
            return []

    pointers = sorted(itertools.chain(*map_calls(store, look, below)))
    found = list(map_calls(store, lambda pointer: _scan_pointer(store, pointer), pointers))
    champions = [each for each in found if isinstance(each, Champion) and not each.vacant]
    return champions, [*denied, *(each for each in found if isinstance(each, Unreadable))]


def _pointers(store: Store, below: str) -> Iterator[str]:
    """Where the pointers of a symbol's model keys would lie. Raises Denied."""
    for timeframe in store.folders(below):
        for preset in store.folders(f"{below}{timeframe}/"):
            model = f"{below}{timeframe}/{preset}/"
            yield f"{model}{keys.CHAMPION}"
            yield from (f"{model}{what}/{keys.CHAMPION}" for what in store.folders(model) if "-" in what)


def _scan_pointer(store: Store, key: str) -> Champion | Unreadable | None:
    try:
        champion = read_document(store, Champion, key)
    except Unreadable as problem:
        return problem
    except NotFound:
        return None
    if ModelKey.of(champion).pointer != key:
        return Unreadable(f"{key} is the champion of {ModelKey.of(champion)}: it lies in the wrong place", key)
    return champion


def find_model_key(
    store: Store,
    symbol: str,
    timeframe: str | None = None,
    preset: str | None = None,
    target: str | None = None,
    horizon: int | None = None,
    market: str | None = None,
    *,
    declined: bool = False,
) -> ModelKey:
    """The one model key of a symbol that these words fit. Raises SpecError where none or several fit.

    A symbol that has none as it is written may be another spelling of one that has. ``declined``: also one that has a
    history or a ledger and no champion.
    """
    signs = (keys.CHAMPION, "history", "evidence") if declined else (keys.CHAMPION,)
    found_keys: set[ModelKey] = set()
    for spelling in dict.fromkeys((symbol, plain_symbol(symbol.partition(":")[0]), plain_symbol(symbol))):
        if spelling and (found_keys := set(_keys_of(store, spelling, signs))):
            symbol = spelling
            break
    wanted = (symbol, timeframe, preset, target, horizon, market)
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
    names = ("timeframe", "preset", "target", "horizon", "market")
    differ = [f"--{name}" for name in names if len({getattr(model_key, name) for model_key in fitting}) > 1]
    raise SpecError(f"{symbol} has {len(fitting)} models ({', '.join(map(str, fitting))}); add {', '.join(differ)}")


def _keys_of(store: Store, symbol: str, names: tuple[str, ...]) -> Iterator[ModelKey]:
    """The model keys under which a pointer or a history lies, whether or not it can be read."""
    for entry in store.list(keys.champions_prefix(symbol)):
        match entry.key.split("/"):
            case [_, _, timeframe, preset, name, *_] if name in names:
                yield ModelKey(symbol, timeframe, preset)
            case [_, _, timeframe, preset, what, name, *_] if name in names:
                if kind := keys.parse_model_kind(what):
                    yield ModelKey(symbol, timeframe, preset, *kind)


def read_history(
    store: Store,
    model_key: ModelKey,
    *,
    last: int | None = None,
    run: str | None = None,
    problems: list[Unreadable] | None = None,
) -> list[Decision]:
    """Decisions, oldest first: all, the ``last`` ones, or those about a ``run``. No more entries are read than needed.

    An entry whose pointer never moved, since its writer died or lost, says so, and so does one that declines a
    candidate again beside the same champion. What can't be read is passed over and put to ``problems``; what took
    effect before it is then unknown. Raises StoreError.
    """
    problems = [] if problems is None else problems
    listed = (item.key for item in store.list(model_key.history) if keys.is_decision(item.key))
    found = [key for key in listed if run is None or key.endswith(f"-{run}.json")]
    wanted = found if last is None else found[-last:]
    if not wanted:
        return []
    read = {key: _read_entry(store, model_key, key) for key in wanted}
    problems += [each for each in read.values() if isinstance(each, Unreadable)]
    entries = {key: each for key, each in read.items() if isinstance(each, HistoryEntry)}
    unknown_before = ""
    try:
        pointer = read_pointer(store, model_key)
        current = pointer[0].entry if pointer else None
    except Unreadable as problem:
        problems.append(problem)
        current, unknown_before = None, _LAST
    effective: set[str] = set()
    step = current
    while step is not None and step >= wanted[0] and step not in effective:  # keys sort by time
        effective.add(step)
        entry = read.get(step) or _read_entry(store, model_key, step)
        if isinstance(entry, Unreadable):
            unknown_before = step
            break
        step = entry.replaced
    decided: set[tuple[str, str, str | None]] = set()
    decisions = []
    for key, entry in entries.items():
        effect = _effect(key, entry, current, effective, unknown=key < unknown_before)
        about = (entry.run, entry.job, entry.replaced)
        if effect == "declined" and about in decided:
            effect = NO_EFFECT  # two collections at once
        if entry.action in ("promote", "decline") and effect != NO_EFFECT:
            decided.add(about)
        decisions.append(Decision(key, entry, effect))
    return decisions


NO_EFFECT = "never took effect"
_LAST = "\U0010ffff"
"""Sorts after every key."""


def read_decision(store: Store, model_key: ModelKey, key: str) -> HistoryEntry:
    """One entry of the history. Raises NotFound, Unreadable where it can't be read or belongs elsewhere, StoreError."""
    return validate_decision(read_document(store, HistoryEntry, key, **vars(model_key)), key)


def validate_decision(entry: HistoryEntry, key: str) -> HistoryEntry:
    """The entry. Raises Unreadable where it is that of another decision, which a rollback would take for this one."""
    if entry.champion is None or entry.champion.entry == key:
        return entry
    other = printable(entry.champion.entry, 200)
    raise Unreadable(f"{key} is the decision {other}: it lies in the wrong place; see: atb-launch store check", key)


def _read_entry(store: Store, model_key: ModelKey, key: str) -> HistoryEntry | Unreadable:
    try:
        return read_decision(store, model_key, key)
    except Unreadable as problem:
        return problem
    except NotFound:
        return Unreadable(f"{key} is gone; see: atb-launch store check", key)


def verify_files(store: Store, champion: Champion) -> None:
    """Read every file of the bundle and compare its hash. Raises StoreError that names the first bad one."""
    for file in champion.files:
        verify(file, store.get(file.key))


def verify(file: FileEntry, data: bytes) -> None:
    """Raise StoreError unless the data is the file that the result named."""
    if len(data) != file.size or hashlib.sha256(data).hexdigest() != file.sha256:
        raise StoreError(f"{file.key} is not what its result says it is (size or sha256); train the symbol again")


def _effect(key: str, entry: HistoryEntry, current: str | None, effective: set[str], *, unknown: bool) -> str:
    if entry.action == "decline":
        return "declined"
    if key == current:
        return "none serves" if entry.champion is not None and entry.champion.vacant else "serving"
    if unknown:
        return "unknown"
    return "replaced" if key in effective else NO_EFFECT
