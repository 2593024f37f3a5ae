from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from atb.contract import keys
from atb.documents.result import Result
from atb.errors import PreconditionFailed, SpecError, StoreError, Unreadable
from atb.registry.candidate import Candidate
from atb.registry.champions import (
    ModelKey,
    find_model_key,
    read_champion,
    read_history,
    require_champion,
    scan_champions,
    verify_files,
)
from atb.registry.promote import PromotionOutcome, evaluate_candidate, read_result, roll_back
from atb.registry.weigh import spend_alone, weigh_run
from atb.storage import Entry, MemoryStore, Store, open_store
from launcher.upkeep.check import check_store
from tests.atb.registry.candidates import GOOD, NOISE, NOTHING, NOW, SHOWN, commit, measured
from tests.atb.registry.doubles import CarelessStore, Death, MortalStore
from tests.s3_proxy import FaultProxy

MODEL_KEY = ModelKey("BTCUSDT", "1h", "fast")


def promote(store: Store, result: Result, minute: int = 0, **options: Any) -> PromotionOutcome:
    """By its own evidence, as of a run with this one candidate."""
    shown = weigh_run(store, [Candidate.of(result)]).of(result)
    now = NOW + timedelta(minutes=minute)
    return evaluate_candidate(store, result, shown, by="me@here", why="", now=now, **options)


def follow(store: Store, run: str, minute: int, **options: Any) -> PromotionOutcome:
    """A candidate measured against the champion of the moment."""
    return promote(
        store, commit(store, run, champion=measured(require_champion(store, MODEL_KEY).entry)), minute, **options
    )


def effects(store: Store) -> list[tuple[str, str, str]]:
    return [(each.entry.action, each.entry.run, each.effect) for each in read_history(store, MODEL_KEY)]


def test_a_good_candidate_becomes_the_champion(store: Store) -> None:
    outcome = promote(store, commit(store, "r1"))
    champion = require_champion(store, MODEL_KEY)
    assert outcome.action == "promote"
    assert (champion.run, champion.by, champion.entry) == ("r1", "me@here", outcome.entry)
    assert champion.metrics == GOOD
    verify_files(store, champion)


def test_history_tells_what_served_what_was_declined_and_what_came_back(store: Store) -> None:
    promote(store, commit(store, "r1"), 0)
    follow(store, "r2", 1)
    entry = require_champion(store, MODEL_KEY).entry
    declined = promote(store, commit(store, "r3", metrics=NOISE, champion=measured(entry, NOISE)), 2)
    roll_back(store, MODEL_KEY, by="me@here", why="looks odd", now=NOW + timedelta(minutes=3))
    assert declined.action == "decline"
    assert require_champion(store, MODEL_KEY).run == "r1"
    assert effects(store) == [
        ("promote", "r1", "replaced"),
        ("promote", "r2", "replaced"),
        ("decline", "r3", "declined"),
        ("rollback", "r1", "serving"),
    ]
    reasons = [each.entry.why for each in read_history(store, MODEL_KEY)]
    assert reasons[0] == "passed every rule"
    assert reasons[3] == "looks odd"
    assert [rule.name for rule in read_history(store, MODEL_KEY)[2].entry.gate if not rule.passed] == [
        "rmse-over-champion",
        "skill-kept",
        "no-worse-than-bar",
    ]


def test_a_part_of_the_history_tells_the_same_and_reads_no_more_than_it_needs() -> None:
    class CountingStore(MemoryStore):
        """Counts the entries that are read."""

        read = 0

        def get(self, key: str) -> bytes:
            self.read += "/history/" in key
            return super().get(key)

    store = CountingStore()
    promote(store, commit(store, "r0"), 0)
    for number in range(1, 9):
        follow(store, f"r{number}", number)
    whole = read_history(store, MODEL_KEY)
    for last in (1, 2, 5, 50):
        assert read_history(store, MODEL_KEY, last=last) == whole[-last:]
    assert read_history(store, MODEL_KEY, run="r3") == whole[3:4]
    store.read = 0
    assert read_history(store, MODEL_KEY, run="r99") == []
    assert read_history(store, MODEL_KEY, last=2) == whole[-2:]
    assert store.read == 2


def test_a_clock_behind_the_last_promoter_s_does_not_disorder_the_history() -> None:
    store = MemoryStore()
    promote(store, commit(store, "r1"), 60)
    follow(store, "r2", 0)
    assert [(each.entry.run, each.effect) for each in read_history(store, MODEL_KEY)] == [
        ("r1", "replaced"),
        ("r2", "serving"),
    ]


def test_rolling_back_twice_goes_back_two_models_and_no_further() -> None:
    store = MemoryStore()
    promote(store, commit(store, "r1"), 0)
    follow(store, "r2", 1)
    follow(store, "r3", 2)
    assert roll_back(store, MODEL_KEY, by="me", why="", now=NOW + timedelta(minutes=3)).run == "r2"
    assert roll_back(store, MODEL_KEY, by="me", why="", now=NOW + timedelta(minutes=4)).run == "r1"
    with pytest.raises(SpecError, match="nothing served before r1"):
        roll_back(store, MODEL_KEY, by="me", why="")


def test_a_decision_in_another_s_place_is_named_and_nobody_rolls_back_to_it() -> None:
    store = MemoryStore()
    promote(store, commit(store, "r1"), 0)
    follow(store, "r2", 1)
    follow(store, "r3", 2)
    first, second, _ = (entry.key for entry in store.list(MODEL_KEY.history))
    store.put(second, store.get(first))
    with pytest.raises(Unreadable, match=rf"^{second} is the decision {first}: it lies in the wrong place"):
        roll_back(store, MODEL_KEY, by="me", why="")
    problems: list[Unreadable] = []
    assert first in [each.key for each in read_history(store, MODEL_KEY, problems=problems)]
    assert [each.key for each in problems] == [second]
    found = read_champion(store, MODEL_KEY)
    assert found is not None
    assert found[0].run == "r3"


def test_a_declined_candidate_moves_nothing_until_it_is_forced() -> None:
    store = MemoryStore()
    noise = commit(store, "r1", metrics=NOISE)
    assert promote(store, noise).action == "decline"
    assert read_champion(store, MODEL_KEY) is None
    outcome = promote(store, noise, 1, force=True)
    assert outcome.action == "promote"
    assert outcome.reason.startswith("forced in spite of skill-shown")
    assert require_champion(store, MODEL_KEY).run == "r1"


def test_no_force_lets_a_model_serve_that_can_not_forecast() -> None:
    store = MemoryStore()
    result = commit(store, "r1")
    bare = result.model_copy(update={"export": result.export.model_copy(update={"from_bars": None})})
    assert promote(store, bare).action == "decline"
    with pytest.raises(SpecError, match=r"no model_from_bars.onnx, .* without --skip-onnx"):
        promote(store, bare, 1, force=True)
    assert read_champion(store, MODEL_KEY) is None


def test_the_first_can_be_accepted_by_name() -> None:
    store = MemoryStore()
    assert promote(store, commit(store, "r1", metrics=NOISE), accept_first=True).action == "promote"


def test_the_champion_is_not_promoted_again() -> None:
    store = MemoryStore()
    result = commit(store, "r1")
    promote(store, result)
    with pytest.raises(SpecError, match="is already the champion"):
        promote(store, result, 1)


@pytest.mark.parametrize("damage", ["gone", "changed"])
def test_a_candidate_with_a_bad_file_is_refused_and_the_champion_stays(damage: str) -> None:
    store = MemoryStore()
    promote(store, commit(store, "r1"))
    result = commit(store, "r2", champion=measured(require_champion(store, MODEL_KEY).entry))
    key = result.files[0].key
    store.delete(key) if damage == "gone" else store.put(key, b"x" * result.files[0].size)
    with pytest.raises(StoreError, match=r"model\.onnx"):
        promote(store, result, 1)
    assert require_champion(store, MODEL_KEY).run == "r1"
    assert effects(store) == [("promote", "r1", "serving")]


def test_a_run_without_a_result_is_named() -> None:
    with pytest.raises(SpecError, match="run r9 has no result of BTCUSDT-fast"):
        read_result(MemoryStore(), "r9", "BTCUSDT-fast")


def test_of_two_promotions_at_once_one_wins_and_the_other_learns_it(store: Store) -> None:
    promote(store, commit(store, "r0"), 0)
    entry = require_champion(store, MODEL_KEY).entry
    results = [commit(store, f"r{number}", champion=measured(entry)) for number in (1, 2, 3, 4)]
    barrier = threading.Barrier(len(results))

    class TogetherStore:
        """All read the pointer before any moves it."""

        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

        def get_with_etag(self, key: str) -> tuple[bytes, str]:
            found = store.get_with_etag(key)
            if key == MODEL_KEY.pointer and not getattr(seen, "once", False):
                seen.once = True
                barrier.wait()
            return found

    seen = threading.local()

    def attempt(result: Result) -> str:
        together: Any = TogetherStore()
        try:
            promote(together, result, 1)
        except PreconditionFailed as error:
            return str(error)
        return "won"

    with ThreadPoolExecutor(len(results)) as pool:
        answers = list(pool.map(attempt, results))
    champion = require_champion(store, MODEL_KEY)
    assert answers.count("won") == 1
    assert champion.run == f"r{answers.index('won') + 1}"
    assert all(f"someone else was first, {champion.run} serves now" in each for each in answers if each != "won")
    assert sorted(effect for _, _, effect in effects(store)) == [*["never took effect"] * 3, "replaced", "serving"]


@pytest.mark.parametrize("applied", [False, True], ids=["before the write", "after the write"])
@pytest.mark.parametrize("move", ["first", "next", "back"])
def test_a_move_killed_at_any_write_leaves_the_old_or_the_new_champion_whole(move: str, applied: bool) -> None:
    for fatal in range(1, 50):
        real = MemoryStore()
        if move != "first":
            promote(real, commit(real, "r1"), 0)
        if move == "back":
            follow(real, "r2", 1)
        before = read_champion(real, MODEL_KEY)
        candidate = commit(real, "r3", champion=measured(before[0].entry) if before else None)
        mortal = MortalStore(real, fatal, applied)
        died = False
        try:
            if move == "back":
                roll_back(mortal, MODEL_KEY, by="me", why="", now=NOW + timedelta(minutes=5))
            else:
                promote(mortal, candidate, 5)
        except Death:
            died = True
        after = read_champion(real, MODEL_KEY)
        old, new = before[0].run if before else None, "r1" if move == "back" else "r3"
        assert (after[0].run if after else None) in (old, new)
        if after:
            verify_files(real, after[0])
        for decision in read_history(real, MODEL_KEY):
            serving = after is not None and decision.key == after[0].entry
            assert (decision.effect == "serving") == serving
        if not died:
            assert after is not None
            assert after[0].run == new
            assert fatal > 3
            return
    pytest.fail("the move never came to its end")


@pytest.mark.parametrize("lost", ["current.json", "history/", "probes/"])
def test_an_answer_lost_after_our_own_write_is_no_conflict(s3_endpoint: str, s3_url: str, lost: str) -> None:
    with FaultProxy(s3_endpoint) as proxy:
        store = open_store(s3_url, proxy.url)
        proxy.add("lost", "PUT", lost)
        assert promote(store, commit(store, "r1")).action == "promote"
        proxy.add("lost", "PUT", lost)
        assert follow(store, "r2", 1).action == "promote"
        assert [each.effect for each in read_history(store, MODEL_KEY)] == ["replaced", "serving"]


def test_a_store_that_ignores_conditions_moves_nothing_without_force() -> None:
    store = CarelessStore()
    result = commit(store, "r1")
    with pytest.raises(StoreError, match=r"ignores conditional writes.*--force"):
        evaluate_candidate(store, result, SHOWN, by="me", why="")
    assert read_champion(store, MODEL_KEY) is None
    promote(store, result, 1, force=True)
    assert require_champion(store, MODEL_KEY).run == "r1"


def test_a_model_key_is_found_by_the_fewest_words_that_identify_it() -> None:
    store = MemoryStore()
    for symbol, preset in (("BTCUSDT", "fast"), ("BTCUSDT", "quality"), ("ETHUSDT", "fast")):
        promote(store, commit(store, "r1", symbol, preset))
    assert [(each.symbol, each.preset) for each in scan_champions(store)[0]] == [
        ("BTCUSDT", "fast"),
        ("BTCUSDT", "quality"),
        ("ETHUSDT", "fast"),
    ]
    for spelling in ("ETH/USDT", "eth-usdt", "ETH/USDT:USDT"):
        assert find_model_key(store, spelling).symbol == "ETHUSDT"
    assert find_model_key(store, "ETHUSDT") == ModelKey("ETHUSDT", "1h", "fast")
    assert find_model_key(store, "BTCUSDT", None, "quality").preset == "quality"
    with pytest.raises(SpecError, match=r"2 models .*--preset"):
        find_model_key(store, "BTCUSDT", None, None)
    with pytest.raises(SpecError, match="BTCUSDT 4h has no champion"):
        find_model_key(store, "BTCUSDT", "4h", None)


class BilledStore(MemoryStore):
    """Counts what a bucket would charge for: a request for each page of 1,000 keys or folders, and for each read."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[str] = []

    def get(self, key: str) -> bytes:
        self.requests.append(key)
        return super().get(key)

    def list(self, prefix: str) -> Iterator[Entry]:
        found = [*super().list(prefix)]
        self.requests += [prefix] * (1 + len(found) // 1_000)
        yield from found

    def folders(self, prefix: str) -> Iterator[str]:
        below = (entry.key.removeprefix(prefix).partition("/") for entry in super().list(prefix))
        found = sorted({name for name, slash, _ in below if slash})
        self.requests += [prefix] * (1 + len(found) // 1_000)
        yield from found


def test_champions_are_found_by_four_requests_each_however_long_their_ledgers_are() -> None:
    store = BilledStore()
    for symbol in ("BTCUSDT", "ETHUSDT", "SOLUSDT"):
        promote(store, commit(store, "r1", symbol))
    promote(store, commit(store, "r2", options={"target": "volatility"}), accept_first=True)
    store.requests.clear()
    first = scan_champions(store)
    before = len(store.requests)
    assert len(first[0]) == 4
    assert before <= 1 + 4 * 4
    for night in range(2, 3_000):
        store.put(keys.ledger_entry(MODEL_KEY.prefix, night), b"{}")
        store.put(keys.record_entry(MODEL_KEY.prefix, night), b"{}")
    store.requests.clear()
    assert scan_champions(store) == first
    assert len(store.requests) == before


def test_a_model_of_another_target_or_horizon_has_a_key_of_its_own() -> None:
    other, later = ModelKey("BTCUSDT", "1h", "fast", "volatility", 24), ModelKey("BTCUSDT", "1h", "fast", "return", 4)
    assert MODEL_KEY.prefix == "models/BTCUSDT/1h/fast/"
    assert other.prefix == "models/BTCUSDT/1h/fast/volatility-24/"
    assert later.prefix == "models/BTCUSDT/1h/fast/return-4/"
    assert (str(MODEL_KEY), str(other)) == ("BTCUSDT 1h fast", "BTCUSDT 1h fast volatility 24")


def test_champions_of_several_targets_are_distinguished() -> None:
    store = MemoryStore()
    for run, options in (("r1", {}), ("r2", {"target": "volatility"}), ("r3", {"target": "volatility", "horizon": 24})):
        outcome = promote(store, commit(store, run, options=options), accept_first=True)
        assert outcome.action == "promote", outcome.reason
    assert require_champion(store, MODEL_KEY).run == "r1"
    assert find_model_key(store, "BTCUSDT", target="return") == MODEL_KEY
    found = find_model_key(store, "BTCUSDT", target="volatility", horizon=24)
    assert (require_champion(store, found).run, require_champion(store, found).horizon) == ("r3", 24)
    with pytest.raises(SpecError, match=r"has 3 models .*; add --target, --horizon"):
        find_model_key(store, "BTCUSDT")
    with pytest.raises(SpecError, match="volatility 5 has no champion"):
        find_model_key(store, "BTCUSDT", target="volatility", horizon=5)


@pytest.mark.parametrize(
    ("options", "folder", "words"),
    [
        ({"market": "um"}, "um-return-1", "um return 1"),
        ({"market": "cm", "horizon": 4}, "cm-return-4", "cm return 4"),
        ({"market": "um", "target": "volatility"}, "um-volatility-1", "um volatility 1"),
        ({"source": "sample"}, "sample-return-1", "sample return 1"),
    ],
)
def test_perpetuals_and_made_up_bars_have_a_champion_evidence_and_record_apart_from_the_spot_market(
    options: dict[str, Any], folder: str, words: str
) -> None:
    store, market = MemoryStore(), options.get("market", "sample")
    spot, other = commit(store, "r1"), commit(store, "r2", options=options)
    for result in (spot, other):
        shown = spend_alone(store, result)
        assert shown is not None
        assert (shown.rows, shown.models) == (400, 1)
        assert promote(store, result, accept_first=True).action == "promote"
    key = ModelKey.of(other.spec)
    assert (key.prefix, str(key)) == (f"models/BTCUSDT/1h/fast/{folder}/", f"BTCUSDT 1h fast {words}")
    assert (require_champion(store, MODEL_KEY).run, require_champion(store, key).run) == ("r1", "r2")
    assert {each.market for each in scan_champions(store)[0]} == {"spot", market}
    assert find_model_key(store, "BTCUSDT", market=market) == key
    assert find_model_key(store, "BTCUSDT", market="spot") == MODEL_KEY
    with pytest.raises(SpecError, match=r"has 2 models .*; add .*--market"):
        find_model_key(store, "BTCUSDT")
    assert [problem.key for problem in check_store(store, hashes=False)] == []
    with pytest.raises(SpecError, match="nothing served before r2"):
        roll_back(store, key, by="somebody", why="")


def test_a_declined_model_of_another_target_is_found_by_its_history() -> None:
    store = MemoryStore()
    declined = commit(store, options={"target": "volatility"}, metrics=NOISE)
    assert promote(store, declined).action == "decline"
    found = find_model_key(store, "BTCUSDT", declined=True)
    assert found == ModelKey("BTCUSDT", "1h", "fast", "volatility", 1)
    assert [decision.effect for decision in read_history(store, found)] == ["declined"]


def test_of_two_collections_that_decline_one_candidate_one_takes_effect() -> None:
    store = MemoryStore()
    result = commit(store, metrics=NOISE)
    for second in (1, 2):
        at = NOW + timedelta(seconds=second)
        assert evaluate_candidate(store, result, NOTHING, by="somebody", why="collected", now=at).action == "decline"
    assert [effect for _, _, effect in effects(store)] == ["declined", "never took effect"]
