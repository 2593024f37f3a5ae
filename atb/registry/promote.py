"""Moving the champion's pointer: one decision is one history entry, then one compare-and-swap.

The order makes it safe to die anywhere: files are verified first, the entry is written next, the pointer moves last.
An entry whose pointer never moved is seen as such by ``read_history``.
"""

from __future__ import annotations

import getpass
import shlex
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from atb.contract import keys
from atb.contract.bundle import MODEL_FROM_BARS
from atb.documents.champion import Action, Champion, HistoryEntry
from atb.documents.result import Result, Rule
from atb.errors import NotFound, PreconditionFailed, SpecError, StoreError, Unreadable
from atb.registry.champions import ModelKey, read_champion, read_decision, read_pointer, verify_files
from atb.registry.gate import DEFAULT_BOUNDS, Bounds, Shown, check_candidate, failures, passes
from atb.storage import Store
from atb.storage.probe import is_conditional
from atb.storage.read import read_document


@dataclass(frozen=True)
class PromotionOutcome:
    """The decision about a candidate. ``reason`` is one line."""

    action: Action
    model_key: ModelKey
    run: str
    rules: tuple[Rule, ...]
    reason: str
    entry: str


def whoami() -> str:
    """Who decides, for the history: user and host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a Pod's user id need not have a name
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def read_result(store: Store, run: str, job: str) -> Result:
    """A committed result. Raises SpecError where the job has none."""
    key = keys.result(run, job)
    try:
        return read_document(store, Result, key, run=run, job=job)
    except NotFound:
        raise SpecError(f"run {run} has no result of {job} in {store.url}; see: atb-launch status {run}") from None


def list_results(store: Store, run: str, symbol: str | None, problems: list[Unreadable]) -> Iterator[Result]:
    """A run's committed results, or a symbol's, in the order of the keys. What can't be read goes to ``problems``."""
    for entry in store.list(f"{keys.jobs_prefix(run)}{keys.job_id(symbol, '') if symbol else ''}"):
        match entry.key.split("/"):
            case [_, _, _, job, "result.json"]:
                try:
                    result = read_document(store, Result, entry.key, entry=entry, run=run, job=job)
                except Unreadable as problem:
                    problems.append(problem)
                    continue
                if symbol in (None, result.spec.symbol):
                    yield result


def model_key_of(result: Result) -> ModelKey:
    """What a result is a candidate for."""
    return ModelKey.of(result.spec)


def evaluate_candidate(
    store: Store,
    result: Result,
    shown: Shown | None,
    *,
    by: str,
    why: str,
    accept_first: bool = False,
    force: bool = False,
    bounds: Bounds = DEFAULT_BOUNDS,
    now: datetime | None = None,
) -> PromotionOutcome:
    """Judge a candidate against the champion and promote it where it passes; a declined one is recorded too.

    ``shown`` is what the run's evidence, weighed together, says of it (``atb.registry.weigh``). ``force`` promotes in
    spite of failed rules, and on a store that ignores conditions, but no model that can't forecast: SpecError. Raises
    PreconditionFailed when another promotion was first, StoreError when a file of the bundle is missing or damaged.
    """
    model_key = model_key_of(result)
    pointer, etag = _read_pointer(store, model_key, force)
    champion = None if pointer is None or pointer.vacant else pointer
    _validate_not_serving(champion, model_key, result.run, result.job)
    rules = check_candidate(result, champion, shown, accept_first=accept_first, bounds=bounds)
    if force and result.export.from_bars is None:
        raise SpecError(
            f"{model_key}: the model of {result.run} has no {MODEL_FROM_BARS}, without which it can't forecast; "
            "train it again without --skip-onnx"
        )
    record = _make_entry(model_key, result.run, result.job, pointer, rules, by, why, now)
    if not passes(rules) and not force:
        return _decline(store, model_key, record)
    entry = history_key(model_key, record.time, result.run)
    candidate = _make_champion(model_key, result, record.time, by, entry, champion.entry if champion else None)
    reason = _reason(rules) if passes(rules) else f"forced in spite of {failures(rules)}"
    record = record.model_copy(update={"action": "promote", "why": why or reason, "champion": candidate})
    move_pointer(store, model_key, candidate, record, etag, force)
    return PromotionOutcome("promote", model_key, result.run, rules, reason, entry)


def decline_candidate(
    store: Store,
    model_key: ModelKey,
    run: str,
    job: str,
    rules: tuple[Rule, ...],
    *,
    by: str,
    why: str,
    now: datetime | None = None,
) -> PromotionOutcome:
    """Record that a candidate was declined by verdicts that are known already, for which its result need not be read.

    Raises as ``evaluate_candidate``.
    """
    pointer, _ = _read_pointer(store, model_key, force=False)
    _validate_not_serving(None if pointer is None or pointer.vacant else pointer, model_key, run, job)
    return _decline(store, model_key, _make_entry(model_key, run, job, pointer, rules, by, why, now))


def _validate_not_serving(champion: Champion | None, model_key: ModelKey, run: str, job: str) -> None:
    if champion is not None and (champion.run, champion.job) == (run, job):
        raise SpecError(f"{model_key}: run {run} is already the champion")


def _make_entry(
    model_key: ModelKey,
    run: str,
    job: str,
    pointer: Champion | None,
    rules: tuple[Rule, ...],
    by: str,
    why: str,
    now: datetime | None,
) -> HistoryEntry:
    """The entry of a candidate that is declined, unless it is changed into a promotion."""
    return HistoryEntry(
        action="decline",
        **vars(model_key),
        run=run,
        job=job,
        time=later_than(pointer, now or datetime.now(UTC)),
        by=by,
        why=why,
        gate=rules,
        replaced=pointer.entry if pointer else None,
    )


def _decline(store: Store, model_key: ModelKey, record: HistoryEntry) -> PromotionOutcome:
    entry = history_key(model_key, record.time, record.run)
    store.put_if_absent(entry, record.to_bytes())
    return PromotionOutcome("decline", model_key, record.run, record.gate, failures(record.gate), entry)


def _read_pointer(store: Store, model_key: ModelKey, force: bool) -> tuple[Champion | None, str | None]:
    """What the pointer says, and its etag. With ``force``, one that can't be read is as none, and is replaced."""
    try:
        return read_pointer(store, model_key) or (None, None)
    except Unreadable as problem:
        if not force:
            raise Unreadable(f"{problem}; --force puts this model in its place", problem.key) from None
        return None, store.get_with_etag(model_key.pointer)[1]


def roll_back(
    store: Store, model_key: ModelKey, *, by: str, why: str, force: bool = False, now: datetime | None = None
) -> Champion:
    """Point to the champion's predecessor; called again, to the one before that. Returns the new champion.

    Raises SpecError where nothing served before, PreconditionFailed when another move was first, StoreError when the
    earlier model's files are missing or damaged.
    """
    found = read_champion(store, model_key)
    if found is None:
        raise SpecError(f"{model_key} has no champion to roll back")
    champion, etag = found
    if champion.fallback is None:
        raise SpecError(f"{model_key}: nothing served before {champion.run}")
    earlier = read_decision(store, model_key, champion.fallback).champion
    if earlier is None:
        raise SpecError(f"{champion.fallback} holds no champion; see: atb models history {shlex.join(model_key.words)}")
    time = later_than(champion, now or datetime.now(UTC))
    entry = history_key(model_key, time, earlier.run)
    target = earlier.model_copy(update={"promoted": time, "by": by, "entry": entry})
    record = HistoryEntry(
        action="rollback",
        **vars(model_key),
        run=target.run,
        job=target.job,
        time=time,
        by=by,
        why=why or f"back from {champion.run}",
        champion=target,
        replaced=champion.entry,
    )
    move_pointer(store, model_key, target, record, etag, force)
    return target


def _reason(rules: tuple[Rule, ...]) -> str:
    waived = ", ".join(rule.name for rule in rules if rule.waived)
    return f"passed every rule but for {waived}, waived" if waived else "passed every rule"


def _make_champion(
    model_key: ModelKey, result: Result, time: datetime, by: str, entry: str, fallback: str | None
) -> Champion:
    return Champion(
        **vars(model_key),
        run=result.run,
        job=result.job,
        result=keys.result(result.run, result.job),
        spec_digest=result.spec_digest,
        as_of=result.spec.as_of,
        unseen_from=result.split.test_from or result.spec.as_of,
        source=result.spec.source,
        synthetic=result.bars.synthetic,
        metrics=result.metrics,
        baselines=result.baselines,
        bands=result.evaluation.bands.get("model", {}).get("all", ()),
        files=result.files,
        promoted=time,
        by=by,
        entry=entry,
        fallback=fallback,
    )


def move_pointer(
    store: Store, model_key: ModelKey, target: Champion, record: HistoryEntry, etag: str | None, force: bool = False
) -> None:
    """Write the history entry, then move the pointer from what had this etag.

    Raises PreconditionFailed where another move was first, StoreError where a file is missing or damaged, or the store
    ignores conditional writes.
    """
    conditional = is_conditional(store)
    if not conditional and not force:
        raise StoreError(
            f"store {store.url} ignores conditional writes, so two promotions could undo each other; "
            "nothing was moved: make sure that no other promotion runs, and add --force"
        )
    if not target.vacant:
        verify_files(store, target)
    store.put_if_absent(target.entry, record.to_bytes())
    data = target.to_bytes()
    try:
        if not conditional:
            store.put(model_key.pointer, data)
        elif etag is None:
            store.put_if_absent(model_key.pointer, data)
        else:
            store.put_if_match(model_key.pointer, data, etag)
    except PreconditionFailed:
        found = read_champion(store, model_key)
        other = found[0].run if found else "nobody"
        raise PreconditionFailed(
            f"{model_key}: someone else was first, {other} serves now; look with: atb models history "
            f"{shlex.join(model_key.words)}"
        ) from None


def later_than(champion: Champion | None, now: datetime) -> datetime:
    """The history is in order of time even where the clock that made the champion was ahead of ours."""
    return now if champion is None else max(now, champion.promoted + timedelta(microseconds=1))


def history_key(model_key: ModelKey, time: datetime, run: str) -> str:
    """Where the decision of a moment is written."""
    return keys.decision(model_key.prefix, time, run)
