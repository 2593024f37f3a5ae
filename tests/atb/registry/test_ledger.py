from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from atb.contract import keys
from atb.documents.evidence import LedgerEntry, TestRows
from atb.documents.result import Result
from atb.errors import PreconditionFailed, SpecError, Unreadable
from atb.registry.candidate import Candidate
from atb.registry.champions import read_champion, read_history
from atb.registry.gate import Shown
from atb.registry.ledger import advance, make_bets, read_entries, read_ledger, read_rows, spend
from atb.registry.weigh import Weighed, spend_alone, weigh_run
from atb.storage import MemoryStore, Store
from tests.atb.registry.candidates import HOUR_MS, NOW, commit, make_result, make_test_rows
from tests.atb.registry.doubles import CarelessStore, Death, MortalStore
from tests.atb.registry.test_promote import MODEL_KEY
from tests.launcher.records.test_promotion import collect, record_of

NIGHTS = [NOW + timedelta(days=night) for night in range(4)]


def take(store: Store, run: str, last: Any = NOW, knows: bool = True) -> LedgerEntry:
    """One night's candidate spends its rows."""
    return spend(store, Candidate.of(make_result(run)), make_test_rows(last, knows), now=NOW)


def test_the_first_candidate_spends_its_test_rows_and_the_next_only_what_came_after(store: Store) -> None:
    entries = [take(store, f"r{night}", last) for night, last in enumerate(NIGHTS)]
    assert [entry.rows for entry in entries] == [400, 24, 24, 24]
    assert [entry.number for entry in entries] == [1, 2, 3, 4]
    assert (entries[-1].total_rows, entries[-1].candidates) == (472, 4)
    assert read_entries(store, MODEL_KEY) == entries


def test_a_row_is_never_spent_twice_however_the_windows_overlap() -> None:
    rng = random.Random(0)
    store, spent = MemoryStore(), set[int]()
    for number in range(60):
        rows = make_test_rows(NOW + timedelta(hours=rng.randrange(400)), True, rng.randrange(1, 300))
        last = read_ledger(store, MODEL_KEY)
        since = -1 if last is None or last.spent_until is None else int(last.spent_until.timestamp() * 1000)
        new = {bet.step for bet in make_bets(rows, since)}
        entry = spend(store, Candidate.of(make_result(f"r{number}")), rows)
        assert entry.rows == len(new)
        assert not new & spent
        spent |= new
    assert entry.total_rows == len(spent)


def test_the_same_candidate_again_changes_nothing_and_counts_once() -> None:
    store = MemoryStore()
    once = take(store, "r1")
    assert take(store, "r1") == once
    take(store, "r2", NIGHTS[1])
    assert take(store, "r1").number == 2
    assert len(read_entries(store, MODEL_KEY)) == 2


def test_another_training_of_the_same_night_finds_nothing_left_and_is_counted() -> None:
    store = MemoryStore()
    first = take(store, "r1", knows=False)
    for seed in range(20):
        entry = take(store, f"other-seed-{seed}")
        assert (entry.rows, entry.log_e) == (0, first.log_e)
    assert entry.candidates == 21


def test_a_training_without_a_launcher_spends_its_rows_when_it_is_committed() -> None:
    store = MemoryStore()
    first = spend_alone(store, commit(store, "r1"))
    assert first is not None
    assert (first.rows, first.models, first.bound) == (400, 1, 20.0)
    best = spend_alone(store, commit(store, "best-of-ten-seeds"))
    assert best is not None
    assert (best.rows, best.models, best.log_e) == (400, 2, first.log_e)
    assert spend_alone(store, commit(store, "best-of-ten-seeds")) == best
    planned = commit(store, "planned")
    store.put(keys.plan("planned"), record_of(store, "planned", "BTCUSDT").plan.to_bytes())
    assert spend_alone(store, planned) is None
    assert len(read_entries(store, MODEL_KEY)) == 2


def test_another_horizon_begins_the_bets_anew_and_leaves_the_rows_spent() -> None:
    store = MemoryStore()
    take(store, "r1")
    longer = make_test_rows(NIGHTS[1]).model_copy(update={"horizon": 24})
    entry = spend(store, Candidate.of(make_result("r2")), longer)
    assert (entry.rows, entry.total_rows, len(entry.wealth)) == (24, 24, 24)


def test_a_price_that_never_moves_and_forecasts_that_never_vary_show_nothing() -> None:
    rows = make_test_rows()
    still = rows.model_copy(update={"scale": (0.0,) * len(rows.time)})
    constant = rows.model_copy(update={"spread": 0.0})
    assert [advance(None, Candidate.of(make_result()), each, NOW).log_e for each in (still, constant)] == [0.0, 0.0]


@pytest.mark.parametrize(
    "change", [{"forecast": [0.0]}, {"time": list(range(400, 0, -1))}, {"scale": [-1.0] * 400}, {"horizon": 0}]
)
def test_damaged_rows_are_refused_in_one_line(change: dict[str, Any]) -> None:
    raw = make_test_rows().model_dump() | change
    with pytest.raises(SpecError, match=r"^here is not a valid test-rows: [^\n]+$"):
        TestRows.from_bytes(__import__("json").dumps(raw), "here")


def test_of_two_collects_at_once_each_row_is_spent_by_one(store: Store) -> None:
    names = [f"r{number}" for number in range(6)]
    barrier = threading.Barrier(len(names))

    def collect(name: str) -> LedgerEntry:
        barrier.wait()
        return take(store, name)

    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(collect, names))
    entries = read_entries(store, MODEL_KEY)
    assert sorted(entry.rows for entry in entries) == [0, 0, 0, 0, 0, 400]
    assert sorted(entry.run for entry in entries) == names
    assert [entry.number for entry in entries] == [1, 2, 3, 4, 5, 6]


def test_an_answer_lost_after_our_own_write_spends_nothing_twice() -> None:
    class ForgetfulStore(MemoryStore):
        """Answers the retry of a write that arrived, as S3 does when the first answer was lost."""

        def put_if_absent(self, key: str, data: bytes) -> str:
            super().put_if_absent(key, data)
            raise PreconditionFailed("someone else was first")

    store = ForgetfulStore()
    assert take(store, "r1").rows == 400
    assert len(read_entries(store, MODEL_KEY)) == 1


def test_a_store_that_ignores_conditions_spends_nothing() -> None:
    store = CarelessStore()
    result = commit(store)
    shown = weigh_run(store, [Candidate.of(result)]).of(result)
    assert shown is not None
    assert "ignores conditional writes" in shown.problem
    assert read_ledger(store, MODEL_KEY) is None


def test_candidates_of_a_run_are_held_to_one_bound_that_the_plan_decides() -> None:
    store = MemoryStore()
    results = [commit(store, "r1", symbol, metrics=metrics) for symbol, metrics in MIXED]
    weighed = weigh_run(store, map(Candidate.of, results))
    assert weighed.bound == pytest.approx(4 / (0.05 * 2))
    assert weighed.reached == 2
    alone = weigh_run(store, map(Candidate.of, results[:1]))
    assert alone.bound == pytest.approx(1 / 0.05)


def test_a_damaged_file_of_evidence_takes_part_as_one_that_shows_nothing() -> None:
    store = MemoryStore()
    results = [commit(store, "r1", symbol) for symbol in ("AAA", "BBB")]
    file = next(file for file in results[0].files if file.path == "evidence.json")
    store.put(file.key, b"{}")
    weighed = weigh_run(store, map(Candidate.of, results))
    assert weighed.bound == pytest.approx(2 / 0.05)
    first, second = (weighed.of(result) for result in results)
    assert first is not None
    assert "is not what its result says" in first.problem
    assert second is not None
    assert (second.problem, second.candidates) == ("", 2)
    with pytest.raises(SpecError, match="has no evidence"):
        read_rows(store, Candidate.of(make_result()))


GOOD, BAD = {"skill": 0.2, "skill_low": 0.1}, {"skill": -0.01, "skill_low": -0.1}
MIXED = [("AAA", GOOD), ("BBB", BAD), ("CCC", BAD), ("DDD", GOOD)]


@dataclass
class Nights:
    """A year in short: a candidate every night, collected, some promoted; killed anywhere and begun again."""

    store: MemoryStore

    def commit(self) -> list[Result]:
        return [commit(self.store, f"r{night}", last=last) for night, last in enumerate(NIGHTS)]

    def collect(self, store: Store) -> None:
        """Weigh and decide every night, in order, as launchers do; a launcher begun again does it all again."""
        for night in range(len(NIGHTS)):
            collect(store, record_of(store, f"r{night}", "BTCUSDT"))


def test_two_hundred_kills_lose_no_evidence_and_count_none_twice() -> None:
    whole = Nights(MemoryStore())
    whole.commit()
    whole.collect(whole.store)
    expected = [(entry.run, entry.rows, entry.log_e) for entry in read_entries(whole.store, MODEL_KEY)]
    assert sum(rows for _, rows, _ in expected) == 472
    rng = random.Random(7)
    killed = 0
    for _ in range(200):
        nights = Nights(MemoryStore())
        nights.commit()
        for _ in range(rng.randrange(1, 4)):
            try:
                nights.collect(MortalStore(nights.store, rng.randrange(1, 24), rng.random() < 0.5))
            except Death:
                killed += 1
        nights.collect(nights.store)
        assert [(entry.run, entry.rows, entry.log_e) for entry in read_entries(nights.store, MODEL_KEY)] == expected
        champion = read_champion(nights.store, MODEL_KEY)
        assert champion is not None
        assert [each.effect for each in read_history(nights.store, MODEL_KEY)].count("serving") == 1
    assert killed >= 200


def test_rows_are_hours_apart_as_the_ledger_counts_them() -> None:
    rows = make_test_rows()
    assert [bet.step for bet in make_bets(rows, rows.time[-3])] == [time // HOUR_MS for time in rows.time[-2:]]


@pytest.mark.parametrize("name", ["00000001.json.bak", "._00000002.json", "zzz.json", "sub/00000009.txt", "README.md"])
def test_what_others_left_beside_the_entries_is_not_the_ledger(name: str) -> None:
    store = MemoryStore()
    first = take(store, "r1")
    store.put(f"{keys.ledger_prefix(MODEL_KEY.prefix)}{name}", b"a stranger's")
    assert read_entries(store, MODEL_KEY) == [first]
    assert take(store, "r2", NIGHTS[1]).number == 2


@pytest.mark.parametrize("change", [{"number": 3}, {"job": "ETHUSDT-fast"}])
def test_an_entry_of_another_place_is_refused_and_nothing_is_spent(change: dict[str, Any]) -> None:
    store = MemoryStore()
    entry = take(store, "r1")
    store.put(keys.ledger_entry(MODEL_KEY.prefix, 1), entry.model_copy(update=change).to_bytes())
    with pytest.raises(Unreadable, match=r"00000001\.json is the ledger-entry of another (number|job)"):
        take(store, "r2", NIGHTS[1])


def test_a_collection_says_once_for_each_reason_whose_evidence_does_not_count() -> None:
    problems = ["a ledger is damaged", "", *["the store ignores conditions"] * 4]
    shown = {f"r1/JOB{number}": Shown(0.0, 40.0, 0.05, 6, problem=each) for number, each in enumerate(problems)}
    assert list(Weighed(40.0, 0.05, 6, shown).problem_lines()) == [
        "the evidence of JOB0 does not count: a ledger is damaged",
        "the evidence of JOB2 and 3 more does not count: the store ignores conditions",
    ]
    others = {f"r1/JOB{number}": Shown(0.0, 40.0, 0.05, 99, problem=f"why {number}") for number in range(99)}
    *_, last = lines = list(Weighed(40.0, 0.05, 99, others).problem_lines())
    assert (len(lines), last) == (11, "nor does that of others, for 89 more reasons")
