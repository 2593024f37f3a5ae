"""The marker is written once, and the first one stands."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from atb.contract import keys
from atb.errors import Denied, SpecError
from atb.storage import DirectoryStore, Store
from tests.atb.registry.candidates import make_result
from tests.permissions import kept_out
from trainer.pipeline.attempt import commit_result, read_committed
from trainer.pipeline.commit import upload_bundle


def test_of_two_attempts_the_first_result_stands(store: Store) -> None:
    first = make_result(symbol="BTC/USDT")
    second = first.model_copy(update={"attempt": 2, "metrics": first.metrics | {"rmse": 9.0}})
    assert read_committed(store, "r1", first.spec) is None
    assert commit_result(store, first) == first
    assert commit_result(store, second) == first
    assert read_committed(store, "r1", first.spec) == first


def test_a_result_of_another_spec_is_never_taken_for_ones_own(store: Store) -> None:
    first = make_result()
    spec = first.spec.model_copy(update={"seed": 7})
    other = first.model_copy(update={"spec": spec, "spec_digest": spec.digest})
    commit_result(store, first)
    with pytest.raises(SpecError, match="a different spec"):
        commit_result(store, other)
    with pytest.raises(SpecError, match="a different spec"):
        read_committed(store, "r1", spec)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"schema_version": "9.0"}'])
def test_an_unreadable_result_is_replaced_and_quarantined(store: Store, data: bytes) -> None:
    result = make_result()
    key = keys.result("r1", result.job)
    store.put(key, data)
    assert read_committed(store, "r1", result.spec) is None
    assert commit_result(store, result) == result
    assert read_committed(store, "r1", result.spec) == result
    assert [store.get(entry.key) for entry in store.list("quarantine/")] == [data]


def test_a_commit_whose_answer_was_lost_is_one_s_own(store: Store) -> None:
    result = make_result()
    store.put(keys.result("r1", result.job), result.to_bytes())
    assert commit_result(store, result) == result
    assert [entry.key for entry in store.list("results/")] == [keys.result_index(result.spec_digest)]


def test_a_bundle_lies_under_its_attempt(store: Store, tmp_path: Path) -> None:
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "loss.png").write_bytes(b"picture")
    (tmp_path / "card.md").write_bytes(b"card")
    files = upload_bundle(tmp_path, store, "r1", "BTCUSDT-fast", 3)
    assert [file.path for file in files] == ["card.md", "plots/loss.png"]
    assert files[1].key == keys.bundle("r1", "BTCUSDT-fast", 3, "plots/loss.png")
    assert store.get(files[1].key) == b"picture"


class Together(DirectoryStore):
    """Finishes no write of a file before another one has begun."""

    both = threading.Barrier(2, timeout=30)

    def put_file(self, key: str, path: Path) -> str:
        self.both.wait()
        return super().put_file(key, path)


def test_files_of_a_bundle_are_written_at_the_same_time(tmp_path: Path) -> None:
    (folder := tmp_path / "bundle").mkdir()
    for name in "abcd":
        (folder / name).write_text(name)
    store = Together(tmp_path / "store")
    store.concurrency = 4  # as a store has that answers several calls sooner
    files = upload_bundle(folder, store, "r1", "BTCUSDT-fast", 1)
    assert [(file.path, store.get(file.key)) for file in files] == [(name, name.encode()) for name in "abcd"]


def test_a_result_that_may_not_be_read_ends_a_training_before_its_fit(tmp_path: Path) -> None:
    store, result = DirectoryStore(tmp_path), make_result("r1")
    key = keys.result("r1", result.job)
    commit_result(store, result)
    with kept_out(tmp_path / key), pytest.raises(Denied, match=f"^{key} in .* can't be read"):
        read_committed(store, "r1", result.spec)
