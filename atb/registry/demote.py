"""Demoting a champion whose record shows it behind its bar: to its predecessor, or to none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from atb.clock import SYSTEM_CLOCK, Clock
from atb.documents.champion import Champion, HistoryEntry
from atb.documents.record import RecordEntry
from atb.errors import AtbError, PreconditionFailed
from atb.registry.betting import BEHIND_BOUND, e_value
from atb.registry.champions import ModelKey, read_champion, read_decision
from atb.registry.promote import history_key, later_than, move_pointer
from atb.registry.record import Live, is_behind
from atb.storage import Store


def demote(
    store: Store, model_key: ModelKey, record: RecordEntry, *, by: str, why: str = "", now: datetime | None = None
) -> Champion | None:
    """Restore the champion's predecessor, if there is one; returns what serves now.

    Raises PreconditionFailed where the record is not of the present champion, or another move was first, StoreError
    where the earlier model's files are missing or damaged.
    """
    found = read_champion(store, model_key)
    if found is None or found[0].entry != record.champion:
        raise PreconditionFailed(f"{model_key}: the record is not that of the present champion; collect again")
    champion, etag = found
    time = later_than(champion, now or datetime.now(UTC))
    earlier = None
    if champion.fallback is not None:
        earlier = read_decision(store, model_key, champion.fallback).champion
    entry = history_key(model_key, time, earlier.run if earlier else champion.run)
    target = (earlier or champion).model_copy(
        update={"promoted": time, "by": by, "entry": entry, "vacant": earlier is None}
    )
    entry_document = HistoryEntry(
        action="demote",
        **vars(model_key),
        run=champion.run,
        job=champion.job,
        time=time,
        by=by,
        why=why or describe_behind(record),
        champion=target,
        replaced=champion.entry,
    )
    move_pointer(store, model_key, target, entry_document, etag)
    return None if target.vacant else target


def demote_behind(
    store: Store, records: Iterable[Live], *, auto: bool, by: str, clock: Clock = SYSTEM_CLOCK
) -> Iterator[str]:
    """Yield a line for each champion behind its bar, demoted where ``auto``; and for each that can't be read.

    A champion that was promoted a moment ago has no record yet: doing it twice demotes only once.
    """
    for live in records:
        if live.problem:
            yield f"{live.model_key}: the record can't be read: {live.problem}"
        elif live.champion is not None and live.record is not None and is_behind(live.record):
            what = f"{live.model_key}: {live.champion.run} is {describe_behind(live.record)}"
            if not auto:
                yield f"{what}; --demotion auto would demote it"
                continue
            try:
                now = datetime.fromtimestamp(clock.now(), UTC)
                serves = demote(store, live.model_key, live.record, by=by, now=now)
            except AtbError as problem:
                yield f"{what}, and was not demoted: {problem}"
            else:
                yield f"{what}; {serves.run if serves else 'none'} serves now"


def describe_behind(record: RecordEntry) -> str:
    """What the record says against a champion, in one line."""
    rows = sum(span.rows for span in record.window)
    return (
        f"behind its bar on the latest {rows:,} live rows: e-value {e_value(record.log_behind):,.4g} "
        f"(bound {BEHIND_BOUND:,.0f}), skill since its cut {record.skill:+.4f}"
    )
