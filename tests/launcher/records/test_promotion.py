from __future__ import annotations

import pytest

from atb.contract import keys
from atb.contract.runs import DEFAULT_FDR
from atb.documents.result import Result
from atb.registry.candidate import Candidate
from atb.registry.champions import ModelKey, read_history, require_champion
from atb.registry.gate import check_candidate
from atb.registry.promote import evaluate_candidate
from atb.registry.weigh import weigh_run
from atb.storage import MemoryStore, Store
from launcher.plan.build import build_plan
from launcher.records.promotion import Promotion, promote_run, weigh_record
from launcher.records.run_record import RunRecord
from tests.atb.registry.candidates import GOOD, NOISE, NOTHING, NOW, SHOWN, commit
from tests.atb.registry.doubles import CarelessStore, Death, MortalStore
from tests.atb.registry.test_promote import MODEL_KEY


def record_of(store: Store, run: str, *symbols: str) -> RunRecord:
    plan = build_plan(run, symbols, ["fast"], {"as_of": NOW}, backend="local", now=NOW)
    return RunRecord.of(store, plan)


def decided(store: Store, run: str, *, accept_first: bool = False) -> dict[str, str]:
    record = record_of(store, run, "AAAUSDT", "BTCUSDT", "ETHUSDT")
    return {each.job: each.decided for each in collect(store, record, accept_first=accept_first)}


def collect(store: Store, record: RunRecord, *, accept_first: bool = False) -> list[Promotion]:
    """What a launcher does with a run's results at its end."""
    return list(promote_run(store, record, weigh_record(store, record, DEFAULT_FDR), accept_first=accept_first))


def test_each_model_of_a_run_is_judged_by_itself() -> None:
    store = MemoryStore()
    commit(store, "r1")
    commit(store, "r1", "ETHUSDT", metrics=NOISE)
    assert decided(store, "r1") == {"BTCUSDT-fast": "promoted", "ETHUSDT-fast": "declined"}
    assert require_champion(store, MODEL_KEY).run == "r1"


def test_collecting_twice_decides_nothing_twice() -> None:
    store = MemoryStore()
    commit(store, "r1")
    commit(store, "r1", "ETHUSDT", metrics=NOISE)
    decided(store, "r1")
    entries = list(store.list("models/"))
    assert set(decided(store, "r1").values()) == {"decided before"}
    assert list(store.list("models/")) == entries


def test_a_damaged_model_does_not_keep_the_others_from_serving() -> None:
    store = MemoryStore()
    store.delete(commit(store, "r1", "AAAUSDT").files[0].key)
    commit(store, "r1")
    assert decided(store, "r1") == {"AAAUSDT-fast": "refused", "BTCUSDT-fast": "promoted"}


def test_noise_serves_first_only_when_accepted() -> None:
    store = MemoryStore()
    commit(store, "r1", metrics=NOISE)
    assert decided(store, "r1", accept_first=True) == {"BTCUSDT-fast": "promoted"}


def test_a_promotion_whose_writer_died_is_taken_up_again() -> None:
    for fatal in range(1, 50):
        store = MemoryStore()
        commit(store, "r1")
        try:
            decided(MortalStore(store, fatal, False), "r1")
        except Death:
            again = decided(store, "r1")
            assert again["BTCUSDT-fast"] in ("promoted", "decided before")
            assert require_champion(store, MODEL_KEY).run == "r1"
            assert [each.effect for each in read_history(store, MODEL_KEY)].count("serving") == 1
        else:
            return
    pytest.fail("the promotion never came to its end")


def test_a_candidate_that_cannot_serve_is_declined_without_reading_its_result_again() -> None:
    class CountingStore(MemoryStore):
        """Counts the results that are read."""

        read = 0

        def get(self, key: str) -> bytes:
            self.read += key.endswith("/result.json")
            return super().get(key)

    store = CountingStore()
    for symbol, metrics, shown in (("BTCUSDT", GOOD, SHOWN), ("ETHUSDT", NOISE, NOTHING)):
        result = commit(store, "r1", symbol, metrics=metrics)
        judged = result.model_copy(update={"gate": check_candidate(result, None, shown)})
        store.put(keys.result("r1", result.job), judged.to_bytes())
    record = record_of(store, "r1", "BTCUSDT", "ETHUSDT")
    assert store.read == 2
    found = {each.job: each for each in collect(store, record)}
    assert {job: each.decided for job, each in found.items()} == {
        "BTCUSDT-fast": "promoted",
        "ETHUSDT-fast": "declined",
    }
    assert store.read == 3, "only what serves is read whole"
    assert found["ETHUSDT-fast"].reason.startswith("skill-shown ")
    (declined,) = read_history(store, ModelKey("ETHUSDT", "1h", "fast"))
    again = evaluate_candidate(store, result, weigh_record(store, record, DEFAULT_FDR).of(result), by="me", why="")
    assert declined.entry.gate == again.rules, "the verdicts are those of the whole result"
    assert {each.decided for each in collect(store, record)} == {"decided before"}
    assert store.read == 3


def test_a_careless_store_moves_nothing_and_says_why() -> None:
    store = CarelessStore()
    commit(store, "r1")
    (only,) = collect(store, record_of(store, "r1", "BTCUSDT"))
    assert only.decided == "refused"
    assert "ignores conditional writes" in only.reason


def test_evidence_is_weighed_from_a_part_of_each_result_as_from_the_whole() -> None:
    store = MemoryStore()
    commit(store, "r1")
    commit(store, "r1", "ETHUSDT", metrics=NOISE)
    key = keys.result("r1", "ETHUSDT-fast")
    unsealed = [line for line in store.get(key).splitlines() if b"content_sha256" not in line]
    store.put(key, b"\n".join(unsealed))  # as an earlier version wrote it
    record = record_of(store, "r1", "BTCUSDT", "ETHUSDT")
    whole = [each for each in record.read_results(store) if isinstance(each, Result)]
    assert list(record.read_candidates(store)) == [Candidate.of(each) for each in whole]
    weighed = weigh_record(store, record, DEFAULT_FDR)
    assert [shown.problem for shown in weighed.shown.values()] == ["", ""]
    assert weighed == weigh_run(store, map(Candidate.of, whole), planned=2)
