"""Which run is meant by a name, a beginning of one, or ``latest``."""

from __future__ import annotations

import pytest

from atb.contract import keys
from atb.errors import SpecError
from atb.storage import MemoryStore
from launcher.records.listing import find_run, latest_runs, list_jobs, list_run
from launcher.records.manifest import list_runs
from launcher.upkeep.check import check_store


def store_with(*runs: str) -> MemoryStore:
    store = MemoryStore()
    for run in runs:
        store.put(keys.plan(run), b"{}")
    return store


def test_a_name_or_a_beginning_that_only_one_run_has_is_enough() -> None:
    store = store_with("nightly", "nightly-2", "20261101-060000-ab12")
    assert find_run(store, "nightly") == "nightly"  # exactly so, though another begins with it
    assert find_run(store, "20261101") == "20261101-060000-ab12"
    with pytest.raises(SpecError, match="night matches 2 runs: nightly, nightly-2; write more of the name"):
        find_run(store, "night")
    with pytest.raises(SpecError, match=r"there is no run daily .*atb-launch list"):
        find_run(store, "daily")


def test_the_latest_is_by_the_time_in_the_name_wherever_it_stands() -> None:
    store = store_with("20261101-060000-ab12", "daily-20261103-001500", "20261102-235959-ffff")
    assert find_run(store, "latest") == "daily-20261103-001500"


def test_a_run_with_a_name_of_its_own_counts_by_when_it_was_planned() -> None:
    assert find_run(store_with("20200101-000000-aaaa", "mine"), "latest") == "mine"
    assert find_run(store_with("20991231-000000-aaaa", "mine"), "latest") == "20991231-000000-aaaa"


def test_an_empty_store_has_no_latest_run() -> None:
    with pytest.raises(SpecError, match="there are no runs"):
        find_run(store_with(), "latest")


@pytest.mark.parametrize("earlier", [False, True])
def test_a_runs_listing_has_its_documents_and_no_file_of_its_bundles(earlier: bool) -> None:
    store = store_with("r1")
    model = "runs/r1/jobs/BTCUSDT-fast/bundle/1/attempts/9/claim.json"
    model = model if earlier else keys.bundle("r1", "BTCUSDT-fast", 1, "model.onnx")
    claim, result = keys.attempt("r1", "BTCUSDT-fast", 2, "claim.json"), keys.result("r1", "BTCUSDT-fast")
    for key in (model, claim, result, keys.worker("r1", "w"), keys.manifest("r1"), f"{keys.jobs_prefix('r1')}note.txt"):
        store.put(key, b"{}")
    files = list_run(store, "r1")
    job = dict(list_jobs(store, "r1"))["BTCUSDT-fast"]
    assert [entry and entry.key for entry in (files.plan, files.manifest, job.claim, job.result)] == [
        keys.plan("r1"), keys.manifest("r1"), claim, result,
    ]  # fmt: skip
    assert (job.attempts, [entry.key for entry in files.workers]) == (2, [keys.worker("r1", "w")])
    assert keys.owner(model) == ("r1", "BTCUSDT-fast")


@pytest.mark.parametrize("folder", ["20991231-060000-train", "a b", "é", "20991231-0600 (copy)", ".20991231-0600"])
def test_a_folder_that_is_no_run_is_never_the_latest_and_stops_no_list(folder: str) -> None:
    store = store_with("mine", "20200101-000000-aaaa")
    store.put(f"runs/{folder}/jobs/BTCUSDT-fast/result.json", b"{}")  # of a training without a launcher, say
    assert find_run(store, "latest") == "mine"
    assert latest_runs(store, 120) == ["mine", "20200101-000000-aaaa"]
    assert [each.run for each in list_runs(store)] == ["mine", "20200101-000000-aaaa"]
    if " " in folder or not folder.isascii():
        store.put(f"runs/{folder}/plan.json", b"{}")
        assert [each.run for each in list_runs(store)] == ["mine", "20200101-000000-aaaa"]
        assert all(folder not in each.key for each in check_store(store))
