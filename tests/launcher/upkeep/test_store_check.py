"""A store is walked, what is wrong is named with what helps, and a repair does all it can, once."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from click.testing import Result as Invoked

from atb.contract import keys
from atb.documents.attempt import Claim
from atb.documents.champion import Champion
from atb.documents.evidence import LedgerEntry, RunEvidence
from atb.documents.record import RecordEntry
from atb.documents.result import ResultPointer
from atb.errors import PreconditionFailed
from atb.registry.champions import ModelKey, read_champion
from atb.schema import Document
from atb.storage import DirectoryStore, Entry, MemoryStore, Store
from atb.storage.s3.failures import Transient
from launcher.cli.store import store_group
from launcher.records.manifest import collect
from launcher.records.run_record import RunRecord
from launcher.upkeep.check import StoreProblem, check_store
from launcher.upkeep.places import place_of
from launcher.upkeep.repair import repair_store, sweep_machine
from tests.atb.documents.test_older_documents import read_old
from tests.atb.documents.test_reading import DAMAGED
from tests.atb.registry.candidates import NOW, commit, make_result
from tests.atb.registry.doubles import Death, MortalStore
from tests.atb.registry.test_promote import promote
from tests.launcher.records.test_run_record import run_of
from trainer.pipeline.attempt import Attempt

KEY = ModelKey("BTCUSDT", "1h", "fast")


def full_store(store: Store) -> Store:
    """A collected run, a champion, and what lies beside them."""
    plan = run_of(store)
    claim = Claim(attempt=1, host="h", process=1, started=NOW)
    store.put(keys.attempt("r1", "LTCUSDT-fast", 1, "claim.json"), claim.to_bytes())
    collect(store, RunRecord.of(store, plan))
    store.put("notes.txt", b"a stranger's")
    store.put("bars/binance/spot/BTCUSDT/1h/2026-01.parquet", b"PAR1")
    return store


def test_a_store_in_order_has_no_findings(store: Store) -> None:
    assert check_store(full_store(store)) == []


PLACES = {
    keys.result("r1", "BTCUSDT-fast"): "moved to quarantine/",
    keys.manifest("r1"): "copied to quarantine/",
    keys.verdict("r1", "LTCUSDT-fast"): "moved to quarantine/",
    keys.attempt("r1", "LTCUSDT-fast", 1, "claim.json"): "moved to quarantine/",
    keys.attempt("r1", "LTCUSDT-fast", 1, "exit.json"): "moved to quarantine/",
    keys.progress("r1", "BTCUSDT-fast"): "moved to quarantine/",
    keys.worker("r1", "w0"): "moved to quarantine/",
    keys.result_index("0" * 64): "moved to quarantine/",
    keys.memory("BTCUSDT", "1h", "fast"): "moved to quarantine/",
    keys.bars_index("binance", "spot", "BTCUSDT", "1h"): "moved to quarantine/",
    KEY.pointer: "moved to quarantine/",
    f"{KEY.history}20260131T060000.000000Z-r1.json": "",
    f"{KEY.prefix}evidence/00000001.json": "",
    keys.plan("r1"): "",
}


@pytest.mark.parametrize("key", PLACES)
@pytest.mark.parametrize("damage", ["empty", "a newer major version", "nested deeply"])
def test_every_kind_of_document_that_can_not_be_read_is_found_and_mended_where_it_can_be(key: str, damage: str) -> None:
    store = full_store(MemoryStore())
    store.put(key, DAMAGED[damage])
    finding = next(each for each in check_store(store) if each.key == key)
    assert (finding.what, bool(finding.then)) == ("unreadable", True)
    mended = next(each for each in repair_store(store, [finding]) if each.key == key)
    assert mended.repaired.startswith(PLACES[key])
    assert bool(mended.repaired) == bool(PLACES[key])
    if mended.repaired:
        assert store.get(re.split("[ ;,]", mended.repaired)[2]) == DAMAGED[damage]
        left = [each for each in check_store(store) if each.what != "stale"]
        assert left == []


def test_an_attempt_whose_claim_is_damaged_keeps_its_number_and_a_stranger_beside_it_is_left_alone() -> None:
    store = full_store(MemoryStore())
    key, stranger = (keys.attempts_prefix("r1", "LTCUSDT-fast") + f"{name}/claim.json" for name in ("1", "x"))
    store.put(key, b"{")
    store.put(stranger, b"{")
    list(repair_store(store, check_store(store)))
    assert Claim.from_bytes(store.get(key), key).process == 0
    with pytest.raises(PreconditionFailed):
        Attempt(store, "r1", "LTCUSDT-fast", 1)
    assert store.get(stranger) == b"{"


def test_a_manifest_is_made_again_from_what_the_run_left() -> None:
    store = full_store(MemoryStore())
    whole = store.get(keys.manifest("r1"))
    store.put(keys.manifest("r1"), whole[:-40])
    list(repair_store(store, check_store(store)))
    assert store.get(keys.manifest("r1")) == whole
    store.delete(keys.result("r1", "ETHUSDT-fast"))
    (stale,) = check_store(store)
    assert (stale.key, stale.what) == (keys.manifest("r1"), "stale")
    list(repair_store(store, [stale]))
    assert check_store(store) == []


@pytest.mark.parametrize("lost", ["gone", "damaged", "to another run that is gone"])
def test_a_result_is_found_by_its_spec_again(lost: str) -> None:
    store = MemoryStore()
    for run in ("r1", "r2"):
        made = make_result(run)
        bars = made.bars.model_copy(update={"sources": {"sample": "sample"}})
        made = made.model_copy(update={"bars": bars, "files": (), "finished": NOW + timedelta(days=int(run[1]))})
        store.put(keys.result(run, made.job), made.to_bytes())
    pointer = ResultPointer.of(made)
    key = keys.result_index(made.spec_digest)
    other = pointer.model_copy(update={"run": "r9"}).to_bytes()
    if lost != "gone":
        store.put(key, b"{" if lost == "damaged" else other)
    (finding,) = check_store(store)
    assert (finding.key, finding.made_from) == (key, keys.result("r2", made.job))
    (mended,) = repair_store(store, [finding])
    assert f"made again from {finding.made_from}" in mended.repaired
    assert ResultPointer.from_bytes(store.get(key), key) == pointer
    assert check_store(store) == []


def test_files_of_a_bundle_that_are_gone_or_altered_are_named() -> None:
    store = full_store(MemoryStore())
    model, card = (keys.bundle("r1", "BTCUSDT-fast", 1, name) for name in ("model.onnx", "card.md"))
    size = len(store.get(model))
    store.put(model, b"x" * size)
    store.delete(card)
    assert [(each.key, each.what) for each in check_store(store)] == [(card, "missing"), (model, "altered")]
    assert [each.key for each in check_store(store, hashes=False)] == [card]
    assert all("train the symbol again" in each.then for each in repair_store(store, check_store(store)))


def test_a_document_in_another_s_place_is_found() -> None:
    store = full_store(MemoryStore())
    store.put(keys.plan("r9"), store.get(keys.plan("r1")))
    store.put(ModelKey("ETHUSDT", "1h", "fast").pointer, read_old(Champion))
    found = {each.key: each.what for each in check_store(store)}
    assert found[keys.plan("r9")] == "misplaced"
    assert found[ModelKey("ETHUSDT", "1h", "fast").pointer] == "misplaced"


def test_a_document_that_was_mended_meanwhile_is_left_alone() -> None:
    store = full_store(MemoryStore())
    key = keys.result("r1", "BTCUSDT-fast")
    good = store.get(key)
    store.put(key, b"")
    found = check_store(store)
    store.put(key, good)
    mended = {each.key: each.repaired for each in repair_store(store, found)}
    assert mended[key] == "nothing: it is in order now"
    assert store.get(key) == good


def contents(store: Store) -> dict[str, bytes]:
    """Of all objects, but for what is only there for a moment and claims, which are dated anew."""
    kept = (entry.key for entry in store.list("") if not entry.key.startswith("probes/"))
    return {key: store.get(key) for key in kept if not key.endswith("claim.json")}


def test_a_repair_killed_at_any_write_or_done_twice_at_once_ends_as_one_alone() -> None:
    whole, claim = full_store(MemoryStore()), keys.attempt("r1", "LTCUSDT-fast", 1, "claim.json")
    cut = (keys.result("r1", "BTCUSDT-fast"), keys.manifest("r1"), claim, keys.result_index("1" * 64))

    def damaged() -> MemoryStore:
        store = MemoryStore()
        for entry in whole.list(""):
            store.put(entry.key, whole.get(entry.key))
        for key in cut:
            store.put(key, b"{" + key.encode())
        return store

    def repair(store: Store) -> None:
        list(repair_store(store, check_store(store)))

    alone = damaged()
    repair(alone)
    for applied in (False, True):
        for fatal in range(1, 100):
            store = damaged()
            found, mortal = check_store(store), MortalStore(store, fatal, applied)
            try:
                list(repair_store(mortal, found))
                break
            except Death:
                repair(store)
                assert contents(store) == contents(alone), (fatal, applied)
        assert fatal > 7
    twice = damaged()
    found = check_store(twice)
    for _ in zip(repair_store(twice, found), repair_store(twice, found), strict=False):
        continue
    repair(twice)
    assert contents(twice) == contents(alone)


def test_a_pointer_that_a_job_has_written_anew_since_it_led_nowhere_stays() -> None:
    store = MemoryStore()
    made = make_result("r1").model_copy(update={"files": ()})
    key = keys.result_index(made.spec_digest)
    store.put(key, ResultPointer.of(made).to_bytes())
    (stale,) = check_store(store)
    store.put(keys.result("r1", made.job), made.to_bytes())
    assert [each.repaired for each in repair_store(store, [stale])] == ["nothing: it is in order now"]
    assert check_store(store) == []


def test_what_kills_left_is_swept_and_what_is_held_or_young_stays(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path / "store")
    full_store(store)
    old, young = store.root / ".staging" / "tmpold", store.root / ".staging" / "tmpyoung"
    for path in (old, young):
        path.write_bytes(b"half")
    probe, fresh, claim = "probes/0", "probes/1", "bars/binance/spot/BTCUSDT/1h/claim"
    for key in (probe, fresh, claim):
        store.put(key, b"1")
    then = time.time() - timedelta(days=2).total_seconds()
    for path in (old, store.root / probe, store.root / claim):
        os.utime(path, (then, then))
    (store.root / ".staging" / "0123456789abcdef.lock").touch()
    assert [each.key for each in check_store(store)] == [claim, probe]
    list(repair_store(store, check_store(store)))
    swept = [each.key for each in sweep_machine(store) if each.key.startswith(".staging")]
    assert ".staging/tmpold" in swept
    assert ".staging/0123456789abcdef.lock" in swept
    assert young.exists()
    assert not old.exists()
    assert store.get(fresh) == b"1"
    assert check_store(store) == []
    assert [each for each in sweep_machine(store) if each.key.startswith(".staging")] == []
    store.put_if_match("notes.txt", b"again", store.get_with_etag("notes.txt")[1])


def invoke(store: DirectoryStore, *words: str) -> Invoked:
    return CliRunner().invoke(store_group, ["check", "--store", str(store.root), *words])


def test_the_command_prints_one_table_or_json_and_repairs_once(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path / "store")
    full_store(store)
    assert invoke(store).exit_code == 0
    key = keys.result("r1", "BTCUSDT-fast")
    store.put(key, b"{\x1b[2J")
    found = invoke(store)
    assert found.exit_code == 1
    assert found.stdout.splitlines()[0].split() == ["key", "what", "why", "what", "helps"]
    assert "unreadable" in found.stdout
    assert "\x1b[2J" not in found.stdout
    assert "atb-launch --resume r1" in found.stdout
    assert {each["key"] for each in json.loads(invoke(store, "--output", "json").stdout)} == {key, keys.manifest("r1")}
    assert invoke(store, "--repair").exit_code == 0
    again = invoke(store, "--repair", "--output", "json")
    assert (again.exit_code, json.loads(again.stdout)) == (0, [])
    assert read_champion(store, KEY) is None
    assert commit(store, "r1", "BTCUSDT").run == "r1"


@pytest.mark.parametrize("key", ["", "volatility-24/"])
def test_evidence_and_record_lie_where_the_registry_writes_them(key: str) -> None:
    model = f"models/BTCUSDT/1h/fast/{key}"
    kinds: dict[str, type[Document]] = {
        keys.ledger_entry(model, 1): LedgerEntry,
        keys.record_entry(model, 1): RecordEntry,
        keys.run_evidence("r1"): RunEvidence,
    }
    assert {each: place.kind for each in kinds if (place := place_of(each))} == kinds


STRANGERS = (
    "models/BTCUSDT/1h/fast/evidence/00000001.json.bak",
    "models/BTCUSDT/1h/fast/record/._00000001.json",
    "models/BTCUSDT/1h/fast/history/README.md",
    "models/BTCUSDT/1h/fast/history/20260131T060000.000000Z-r1 (1).json",
    "models/BTCUSDT/1h/fast/old/copy/current.json",
    "runs/r1/workers/.DS_Store",
    "runs/r1/progress/BTCUSDT-fast.json~",
    "runs/r1/jobs/BTCUSDT-fast/attempts/7/notes.txt",
    "runs/r1/jobs/BTCUSDT-fast/attempts/x/exit.json",
    "signals/README.md",
    "results/latest.json",
    "memory/notes.json",
)


@pytest.mark.parametrize("key", STRANGERS)
def test_a_stranger_s_file_is_no_finding_is_never_moved_and_changes_no_table(key: str) -> None:
    store = full_store(MemoryStore())
    before = store.get(keys.manifest("r1"))
    store.put(key, b"a stranger's")
    assert check_store(store) == []
    assert list(repair_store(store, check_store(store))) == []
    assert store.get(key) == b"a stranger's"
    collect(store, RunRecord.load(store, "r1"))
    assert store.get(keys.manifest("r1")) == before


def served_store() -> Store:
    """A champion, with its history and ledger, and the hint to its result."""
    store = MemoryStore()
    promote(store, commit(store, "r1"))
    result = make_result("r1")
    store.put(keys.result_index(result.spec_digest), ResultPointer.of(result).to_bytes())
    return store


def test_what_readers_refuse_as_another_s_is_found_in_the_same_places() -> None:
    store = served_store()
    assert check_store(store) == []
    (history,) = [entry.key for entry in store.list(KEY.history)]
    moved = ModelKey("ETHUSDT", "1h", "fast").history + history.rpartition("/")[2]
    store.put(moved, store.get(history))
    first, third = (keys.ledger_entry(KEY.prefix, number) for number in (1, 3))
    store.put(third, store.get(first))
    assert {each.key: each.what for each in check_store(store)} == {moved: "misplaced", third: "misplaced"}


def test_a_decision_that_a_champion_names_and_that_is_gone_is_found() -> None:
    store = served_store()
    (history,) = [entry.key for entry in store.list(KEY.history)]
    store.delete(history)
    (finding,) = check_store(store)
    assert (finding.key, finding.what, finding.why) == (history, "missing", f"{KEY.pointer} names it")


def test_a_hint_to_the_result_of_another_spec_is_stale() -> None:
    store = served_store()
    (key,) = [entry.key for entry in store.list("results/")]
    wrong = keys.result_index("0" * 64)
    store.put(wrong, store.get(key))
    (finding,) = check_store(store)
    assert (finding.key, finding.what) == (wrong, "stale")


class _BusyStore(MemoryStore):
    """A job is committed while the store is listed: its files and its pointer come after their folders were listed."""

    def list(self, prefix: str) -> Iterator[Entry]:
        hidden = {keys.run_prefix("r1"): "/bundles/", keys.RESULTS: keys.RESULTS}.get(prefix, "nothing is")
        return (entry for entry in super().list(prefix) if hidden not in entry.key)


def test_what_is_written_while_the_store_is_listed_is_not_missing() -> None:
    store = _BusyStore()
    made = commit(store, "r1")
    made = made.model_copy(update={"bars": made.bars.model_copy(update={"sources": {"sample": "sample"}})})
    store.put(keys.result("r1", made.job), made.to_bytes())
    store.put(keys.result_index(made.spec_digest), ResultPointer.of(made).to_bytes())
    assert check_store(store) == []
    store.delete(keys.result_index(made.spec_digest))
    store.delete(made.files[0].key)
    assert [each.what for each in check_store(store)] == ["missing", "missing"]


def test_what_a_repair_has_done_is_printed_also_where_the_store_goes_away_amid_it(tmp_path: Path) -> None:
    class Away(DirectoryStore):
        """Goes away after the first object was moved."""

        moved = 0

        def put_file(self, key: str, path: Path) -> str:
            self.moved += 1
            if self.moved == 2:
                raise Transient("store s3://atb did not answer")
            return super().put_file(key, path)

    store = Away(tmp_path / "store")
    full_store(store)
    for job in ("BTCUSDT-fast", "ETHUSDT-fast"):
        store.put(keys.progress("r1", job), b"{")
    found = check_store(store)
    done: list[StoreProblem] = []
    with pytest.raises(Transient):
        done.extend(repair_store(store, found))
    assert [each.repaired[:8] for each in done] == ["moved to"]


def test_a_damaged_manifest_of_no_run_is_moved_away() -> None:
    store = MemoryStore()
    store.put(keys.manifest("r9"), b"{")
    assert [each.repaired[:20] for each in repair_store(store, check_store(store))] == ["moved to quarantine/"]
    assert check_store(store) == []
