"""What one user may not read or write is named, and stops nothing else; a repair leaves it where it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from atb.contract import keys
from atb.errors import Denied, StoreSetting
from atb.registry.champions import ModelKey
from atb.storage import DirectoryStore
from launcher.cli import atb_launch
from launcher.records.manifest import collect
from launcher.records.run_record import RunRecord
from launcher.upkeep.check import check_store
from launcher.upkeep.repair import repair_store
from tests.atb.registry.candidates import commit
from tests.atb.registry.test_promote import promote
from tests.launcher.records.test_run_record import run_of
from tests.permissions import kept_out
from trainer.cli import atb

KEY = ModelKey("BTCUSDT", "1h", "fast")


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    """Two collected runs of three jobs, and a champion of the second."""
    store = DirectoryStore(tmp_path / "store")
    for run in ("r1", "r2"):
        plan = run_of(store, run)
        collect(store, RunRecord.of(store, plan))
    promote(store, commit(store, "r3", "ETHUSDT"))
    promote(store, commit(store, "r3"))
    return store


def invoke(store: DirectoryStore, words: str) -> tuple[int, str]:
    root, *rest = words.split()
    found = CliRunner().invoke({"atb": atb, "atb-launch": atb_launch}[root], [*rest, "--store", str(store.root)])
    if isinstance(found.exception, Denied | StoreSetting):
        return found.exception.exit_code, str(found.exception)
    assert found.exception is None or isinstance(found.exception, SystemExit), found.exception
    return found.exit_code, found.output


OF_A_RUN = {
    keys.plan("r1"): "r1  20",
    keys.manifest("r1"): f"r1  unreadable: {keys.manifest('r1')} in ",
    keys.result("r1", "BTCUSDT-fast"): "r1  20",
    keys.job_prefix("r1", "BTCUSDT-fast")[:-1]: "r1  unreadable: runs/r1/jobs/BTCUSDT-fast",
    keys.run_prefix("r1")[:-1]: "r1  unreadable: runs/r1",
}
OF_A_MODEL = {"models/BTCUSDT", KEY.pointer, f"{KEY.prefix}record", f"{KEY.prefix}evidence", f"{KEY.prefix}history"}


@pytest.mark.parametrize("key", OF_A_RUN)
def test_a_run_that_may_not_be_read_is_named_and_the_others_are_listed(store: DirectoryStore, key: str) -> None:
    if key != keys.manifest("r1"):  # which has what is known of each result
        store.delete(keys.manifest("r1"))
    with kept_out(store.root / key):
        code, words = invoke(store, "atb-launch list")
        assert (code, "r2  20" in words) == (0, True)
        assert OF_A_RUN[key] in words
        assert invoke(store, "atb-launch status r2")[0] == 0
        assert invoke(store, "atb-launch page")[0] == 0
        code, words = invoke(store, "atb-launch status r1")
    assert code in (0, 2)
    assert key in words
    assert "Permission denied; give this user read access" in words


@pytest.mark.parametrize("key", sorted(OF_A_MODEL))
def test_a_model_that_may_not_be_read_is_named_and_the_others_are_listed(store: DirectoryStore, key: str) -> None:
    (store.root / KEY.prefix / "record").mkdir(exist_ok=True)
    with kept_out(store.root / key):
        code, words = invoke(store, "atb models list")
        assert (code, "ETHUSDT  1h" in words) == (0, True)
        assert ("unreadable: " in words) == (key in ("models/BTCUSDT", KEY.pointer))
        assert invoke(store, "atb-launch page")[0] == 0
        assert invoke(store, "atb-launch collect r1")[0] == 0


@pytest.mark.parametrize(
    "key", sorted({*OF_A_RUN, *OF_A_MODEL, "models", "results", keys.bundle("r3", "BTCUSDT-fast", 1, "")[:-1]})
)
def test_a_repair_leaves_what_it_may_not_read_and_all_that_refers_to_it(store: DirectoryStore, key: str) -> None:
    for name in ("results", f"{KEY.prefix}record"):
        (store.root / name).mkdir(exist_ok=True)
    before = {entry.key: entry.etag for entry in store.list("")}
    with kept_out(store.root / key):
        found = check_store(store)
        assert [(each.key, each.what) for each in found if key in each.key] == [(key, "denied")] * (key in str(found))
        assert not any(each.repaired for each in repair_store(store, found))
        assert [each.what for each in found if each.key != key] == []
    assert {entry.key: entry.etag for entry in store.list("")} == before
    assert check_store(store) == []


def test_a_result_that_may_not_be_read_ends_a_resume_and_is_not_done_again(store: DirectoryStore) -> None:
    key = keys.result("r1", "BTCUSDT-fast")
    store.delete(keys.manifest("r1"))
    with kept_out(store.root / key), pytest.raises(Denied, match=f"^{key} in .* can't be read: Permission denied"):
        RunRecord.load(store, "r1").set_aside_results(store)
    assert [entry.key for entry in store.list("quarantine/")] == []


def test_a_store_that_may_only_be_read_is_read_and_a_write_is_a_setting(store: DirectoryStore) -> None:
    folders = [store.root, *(path for path in store.root.rglob("*") if path.is_dir())]
    with kept_out(*folders, mode=0o555):
        for words in ("status r1", "list", "store check", "why r1 LTCUSDT", "store check --repair"):
            assert invoke(store, f"atb-launch {words}")[0] == 0, words
        for words in ("list", "history BTCUSDT", "evidence BTCUSDT"):
            assert invoke(store, f"atb models {words}")[0] == 0, words
        code, words = invoke(store, "atb-launch collect r1")
    assert (code, "; give this user read and write access" in words) == (2, True)
    assert f"refused {keys.manifest('r1')}: Permission denied at {store.root}/.staging" in words


def test_a_repair_that_may_not_write_has_mended_nothing_and_says_so(store: DirectoryStore) -> None:
    for key in (keys.progress("r1", "BTCUSDT-fast"), keys.manifest("r2"), KEY.pointer):
        store.put(key, b"{")
    folders = [store.root, *(path for path in store.root.rglob("*") if path.is_dir())]
    with kept_out(*folders, mode=0o555):
        code, words = invoke(store, "atb-launch store check --repair")
    assert (code, "3 findings, 0 repaired" in words) == (1, True)
    assert words.count("it could not be mended: store ") == 3
    code, words = invoke(store, "atb-launch store check --repair")
    assert (code, "3 findings, 3 repaired" in words) == (0, True)
    assert check_store(store) == []


@pytest.mark.parametrize("key", ["models", "runs", "."])
def test_a_folder_that_may_not_be_read_is_named_in_one_line(store: DirectoryStore, key: str) -> None:
    with kept_out(store.root / key):
        for words in ("atb models list", "atb-launch list", "atb-launch store check"):
            code, said = invoke(store, words)
            assert code in (0, 1, 2), words
            assert " can't be read: Permission denied; give this user read access" in said or code == 0
            assert not said.startswith(" in ")
        if key != ".":
            assert {each.what for each in check_store(store)} == {"denied"}
