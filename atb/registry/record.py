"""The champion's live record: each run scores it once on bars that closed after its cut.

The bets are those of ``atb.registry.betting``, turned round: against the champion, over the latest
``RECORD_ROWS`` rows. An entry holds the whole state, so that one conditional write both takes the rows and keeps what
they showed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from atb.contract import keys
from atb.contract import timeframe as tf
from atb.documents.champion import Champion
from atb.documents.record import LiveBand, RecordEntry, RecordSpan
from atb.errors import PreconditionFailed, StoreError, Unreadable
from atb.registry.betting import BEHIND_BOUND, MOST_CLASSES, RECORD_ROWS, class_of, log_behind, log_mean_exp
from atb.registry.champions import ModelKey, read_champion
from atb.storage import Store
from atb.storage.read import list_entries, map_calls, read_document

_TRIES = 50
_MOST_ASKED = 32
"""Model keys whose pointers are simply read: of more, the symbols that have anything at all are listed first."""


@dataclass(frozen=True)
class LiveRow:
    """One row: the open time of the window's last bar in milliseconds, forecast and outcome beyond the bar, and how
    large an outcome was to be expected. ``inside``: by level of the champion's bands, whether the close lay within."""

    time: int
    forecast: float
    outcome: float
    scale: float
    inside: Mapping[float, bool] = field(default_factory=dict)


@dataclass(frozen=True)
class Live:
    """A champion and its record, if any; ``problem``: why they can't be read."""

    model_key: ModelKey
    champion: Champion | None
    record: RecordEntry | None
    problem: str = ""


def read_record(store: Store, champion: Champion) -> RecordEntry | None:
    """The champion's record; None where no run has scored it yet. Raises StoreError, Unreadable."""
    last = _read_last(store, ModelKey.of(champion))
    return last if last is not None and last.champion == champion.entry else None


def scan_records(store: Store, model_keys: Iterable[ModelKey]) -> list[Live]:
    """The champions of these model keys with their records. Keys without a champion are left out. Raises StoreError."""

    def read(model_key: ModelKey) -> Live | None:
        try:
            found = read_champion(store, model_key)
            return None if found is None else Live(model_key, found[0], read_record(store, found[0]))
        except Unreadable as problem:
            return Live(model_key, None, None, str(problem))

    wanted = list(dict.fromkeys(model_keys))
    if len(wanted) > _MOST_ASKED:  # most symbols of a large run have never had a champion
        root = keys.champions_prefix()
        there = {f"{root}{name}/" for name in store.folders(root)}
        wanted = [model_key for model_key in wanted if keys.champions_prefix(model_key.symbol) in there]
    return list(filter(None, map_calls(store, read, wanted)))


def extend_record(
    store: Store,
    champion: Champion,
    run: str,
    step_ms: int,
    rows: Sequence[LiveRow],
    drift: Mapping[str, float],
    *,
    now: datetime | None = None,
) -> RecordEntry | None:
    """Add the rows that no entry has yet; returns the record. Doing it again changes nothing. Raises StoreError."""
    model_key = ModelKey.of(champion)
    for _ in range(_TRIES):
        last = _read_last(store, model_key)
        entry = advance_record(last, champion, run, step_ms, rows, drift, now or datetime.now(UTC))
        if entry is None:
            return last if last is not None and last.champion == champion.entry else None
        try:
            store.put_if_absent(keys.record_entry(model_key.prefix, entry.number), entry.to_bytes())
        except PreconditionFailed:
            continue  # somebody else was first, or our own write arrived and its answer did not: the next look tells
        return entry
    raise StoreError(f"the record of {model_key} keeps being changed by other processes; try again")


def advance_record(
    last: RecordEntry | None,
    champion: Champion,
    run: str,
    step_ms: int,
    rows: Sequence[LiveRow],
    drift: Mapping[str, float],
    now: datetime,
) -> RecordEntry | None:
    """The entry after ``last``; None where no row is new."""
    own = last if last is not None and last.champion == champion.entry else None
    since = -1 if own is None else tf.epoch_ms(own.until)
    new = [row for row in rows if row.time > since]
    if not new:
        return None
    window = _latest((*(own.window if own else ()), _span(new, step_ms, champion.horizon)))
    return RecordEntry(
        number=(last.number if last else 0) + 1,
        champion=champion.entry,
        run=run,
        recorded=now,
        rows=len(new),
        until=tf.from_epoch_ms(new[-1].time),
        total_rows=(own.total_rows if own else 0) + len(new),
        squares=(own.squares if own else 0.0) + sum((row.outcome - row.forecast) ** 2 for row in new),
        bar_squares=(own.bar_squares if own else 0.0) + sum(row.outcome**2 for row in new),
        window=window,
        log_behind=log_mean_exp([sum(logs) for logs in zip(*(span.logs for span in window), strict=True)]),
        drift=dict(drift),
        days=(tf.from_epoch_ms(new[-1].time) - champion.as_of).days,
        bands=_count_inside(own.bands if own else (), new),
    )


def describe_coverage(champion: Champion, record: RecordEntry) -> list[str]:
    """By level: the share of live closes within the band, in brackets that of the test rows before its promotion."""
    promised = {band.level: f" ({band.coverage:.1%})" for band in champion.bands}
    return [f"{band.coverage:.1%}{promised.get(band.level, '')} of {band.level:g}" for band in record.bands]


def is_behind(entry: RecordEntry) -> bool:
    """Whether the evidence that the champion is behind its bar is as strong as a demotion asks for."""
    return entry.log_behind >= math.log(BEHIND_BOUND)


def _span(rows: Sequence[LiveRow], step_ms: int, horizon: int) -> RecordSpan:
    latest = rows[-RECORD_ROWS:]
    logs = [0.0] * min(horizon, MOST_CLASSES)
    for row in latest:
        own = class_of(row.time // step_ms, horizon)
        if own is not None and row.scale > 0:
            logs[own] += log_behind(row.forecast / row.scale, row.outcome / row.scale)
    return RecordSpan(rows=len(latest), logs=tuple(logs))


def _count_inside(bands: tuple[LiveBand, ...], rows: Sequence[LiveRow]) -> tuple[LiveBand, ...]:
    counted = {band.level: band for band in bands}
    for row in rows:
        for level, inside in row.inside.items():
            band = counted.get(level, LiveBand(level=level, rows=0, inside=0))
            counted[level] = LiveBand(level=level, rows=band.rows + 1, inside=band.inside + inside)
    return tuple(counted[level] for level in sorted(counted))


def _latest(spans: tuple[RecordSpan, ...]) -> tuple[RecordSpan, ...]:
    rows, kept = 0, []
    for span in reversed(spans):
        rows += span.rows
        if rows > RECORD_ROWS:
            break
        kept.append(span)
    return tuple(reversed(kept))


def _read_last(store: Store, model_key: ModelKey) -> RecordEntry | None:
    listed = list_entries(store, keys.record_prefix(model_key.prefix))
    if not listed:
        return None
    return read_document(store, RecordEntry, listed[-1], number=keys.entry_number(listed[-1]))
