"""The ledger of a model key: which rows its models have spent, and the evidence so far.

A row is spent once, by the first model that is a candidate after it closed; a later model bets only on bars after the
last one spent, which it has not trained on. An entry holds the whole state, so that one conditional write both spends
the rows and keeps what they showed: whoever dies before it has spent nothing, whoever dies after it has lost nothing,
and of two at once one writes entry n and the other begins again behind it.
"""

from __future__ import annotations

from datetime import UTC, datetime

from atb.contract import keys
from atb.contract import timeframe as tf
from atb.contract.bundle import CARD, EVIDENCE
from atb.documents.evidence import LedgerEntry, TestRows
from atb.errors import PreconditionFailed, SpecError, StoreError
from atb.registry.betting import Bet, log_e_value, place_bets, start_wealth
from atb.registry.candidate import Candidate
from atb.registry.champions import ModelKey
from atb.registry.pull import read_file
from atb.storage import Store
from atb.storage.read import list_entries, read_document

_RECENT = 100
"""Candidates that an entry names: one collected again is not counted again."""
_TRIES = 50
"""How often another writer may get in first before the write is given up."""


def read_ledger(store: Store, model_key: ModelKey) -> LedgerEntry | None:
    """The state of the ledger; None where nothing is spent. Raises StoreError, SpecError for a damaged entry."""
    listed = list_entries(store, keys.ledger_prefix(model_key.prefix))
    return _read_entry(store, model_key, listed[-1]) if listed else None


def read_entries(store: Store, model_key: ModelKey) -> list[LedgerEntry]:
    """Every entry, the oldest first."""
    listed = list_entries(store, keys.ledger_prefix(model_key.prefix))
    return [_read_entry(store, model_key, key) for key in listed]


def _read_entry(store: Store, model_key: ModelKey, key: str) -> LedgerEntry:
    job = keys.job_id(model_key.symbol, model_key.preset)
    return read_document(store, LedgerEntry, key, number=keys.entry_number(key), job=job)


def read_rows(store: Store, candidate: Candidate) -> TestRows:
    """The test rows that a candidate left, verified. Raises SpecError for a result of before there were any."""
    file = candidate.rows
    if file is None:
        raise SpecError(f"the model of run {candidate.run} has no {EVIDENCE}; its {CARD} says why")
    return TestRows.from_bytes(read_file(store, file), file.key)


def spend(store: Store, candidate: Candidate, rows: TestRows, *, now: datetime | None = None) -> LedgerEntry:
    """Spend the candidate's rows that nobody has spent; returns the ledger's state. Doing it again changes nothing.

    Raises StoreError where the store doesn't answer or others write all the time.
    """
    model_key = candidate.model_key
    for _ in range(_TRIES):
        last = read_ledger(store, model_key)
        if last is not None and candidate.name in last.recent:
            return last
        entry = advance(last, candidate, rows, now or datetime.now(UTC))
        try:
            store.put_if_absent(keys.ledger_entry(model_key.prefix, entry.number), entry.to_bytes())
        except PreconditionFailed:
            continue  # somebody else was first, or our own write arrived and its answer did not: the next look tells
        return entry
    raise StoreError(f"the evidence of {model_key} keeps being changed by other processes; try again")


def advance(last: LedgerEntry | None, candidate: Candidate, rows: TestRows, now: datetime) -> LedgerEntry:
    """The entry after ``last`` for one more candidate: pure, so that a gate can also look ahead without spending.

    A model of another horizon than the ledger's begins the bets anew: its rows stay spent.
    """
    spent = None if last is None else last.spent_until
    since = -1 if spent is None else tf.epoch_ms(spent)
    bets = make_bets(rows, since)
    same = last is not None and last.horizon == rows.horizon
    wealth = place_bets(last.wealth if last and same else start_wealth(rows.horizon), bets, rows.horizon)
    until = tf.from_epoch_ms(rows.time[-1]) if rows.time and rows.time[-1] > since else spent
    count = (last.candidates if last else 0) + 1
    mean, squares = (last.sharpe_mean, last.sharpe_squares) if last else (0.0, 0.0)
    sharpe = candidate.sharpe
    moved = mean + (sharpe - mean) / count  # Welford 1962
    return LedgerEntry(
        number=(last.number if last else 0) + 1,
        run=candidate.run,
        job=candidate.job,
        recorded=now,
        horizon=rows.horizon,
        rows=len(bets),
        spent_until=until,
        total_rows=(last.total_rows if last and same else 0) + len(bets),
        candidates=count,
        log_e=log_e_value(wealth),
        wealth=wealth,
        recent=(*(last.recent if last else ()), candidate.name)[-_RECENT:],
        sharpe_mean=moved,
        sharpe_squares=squares + (sharpe - mean) * (sharpe - moved),
    )


def make_bets(rows: TestRows, since_ms: int) -> list[Bet]:
    """The bets on rows after an instant. Where the price or the forecasts never move there is nothing to bet on."""
    if rows.spread <= 0:
        return [Bet(time // rows.step_ms, 0.0, 0.0) for time in rows.time if time > since_ms]
    return [
        Bet(time // rows.step_ms, forecast / rows.spread, outcome / scale if scale > 0 else 0.0)
        for time, forecast, outcome, scale in zip(rows.time, rows.forecast, rows.outcome, rows.scale, strict=True)
        if time > since_ms
    ]
