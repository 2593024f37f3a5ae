"""A store that refuses a write, or a full disk: no half a result, and the next attempt finishes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from atb.contract import keys
from atb.contract.spec import Spec
from atb.documents.result import Result
from atb.errors import NotFound, StoreError
from atb.storage import DirectoryStore, MemoryStore, Store
from tests.processes import Atb, job_arguments
from tests.trainer.pipeline.market import PLAIN, sine_close, tiny_spec, train, write_bars
from trainer.pipeline import job
from trainer.pipeline.learn import FittedModel, learn

RESULT = keys.result("r1", "WAVE-fast")
COURTESIES = ("progress/WAVE-fast.json", "/log.txt", "/exit.json", "/checkpoint.npz")
"""What a job leaves beside its result, together with the index of results and the key's
ledger: it does without, and says so."""


class RefusingStore(MemoryStore):
    """Takes every write but some, and remembers the keys."""

    def __init__(self, *refused: str) -> None:
        super().__init__()
        self.written: list[str] = []
        self.refused = refused

    def put(self, key: str, data: bytes) -> str:
        self._take(key)
        return super().put(key, data)

    def put_if_absent(self, key: str, data: bytes) -> str:
        self._take(key)
        return super().put_if_absent(key, data)

    def _take(self, key: str) -> None:
        if key in self.refused:
            raise StoreError(f"store {self.url} refused {key}: 503")
        self.written.append(key)


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Spec:
    folder: Path = tmp_path_factory.mktemp("market")
    write_bars(folder, "WAVE", sine_close())
    return tiny_spec(folder, "WAVE", epochs=1, onnx=False, net=PLAIN)


@pytest.fixture(scope="module")
def written(spec: Spec) -> list[str]:
    """Every key that a whole job writes, in order."""
    store = RefusingStore()
    train(store, "r1", spec)
    return list(dict.fromkeys(store.written))


def test_the_marker_is_written_after_all_that_it_names(written: list[str]) -> None:
    place = written.index(RESULT)
    bundle = [number for number, key in enumerate(written) if "/bundles/" in key]
    assert len(bundle) >= 10
    assert max(bundle) < place
    assert written[0].endswith("attempts/1/claim.json")
    assert written[-1].endswith("attempts/1/exit.json")


def test_whichever_write_of_its_work_is_refused_there_is_no_result(
    spec: Spec, written: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[FittedModel] = []

    def learn_once(*arguments: Any) -> FittedModel:
        found[:] = found or [learn(*arguments)]  # the same each time, and the longest of all
        return found[0]

    monkeypatch.setattr(job, "learn", learn_once)
    for key in chosen(written):
        store = RefusingStore(key)
        with pytest.raises(StoreError, match=f"refused {key}") as refusal:
            train(store, "r1", spec)
        assert refusal.value.exit_code == 75
        with pytest.raises(NotFound):
            store.get(RESULT)
    store.refused = ()
    assert train(store, "r1", spec).attempt == 2
    assert_whole(store)


def test_a_job_survives_lost_progress_reports(spec: Spec, written: list[str]) -> None:
    store = RefusingStore(*(key for key in written if is_courtesy(key)))
    train(store, "r1", spec)
    assert not [entry.key for entry in store.list("") if is_courtesy(entry.key)]
    assert_whole(store)


def test_a_full_store_is_one_line_and_leaves_no_result(spec: Spec, atb: Atb, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "128k") as disk:
        done = atb(*job_arguments(spec, "r1", str(disk / "store")))
        assert done.code == 75, done.output
        assert done.lines[-1].startswith("error: store ")
        assert "No space left on device; free some space" in done.lines[-1]
        assert "Traceback" not in done.output
        with pytest.raises(NotFound):
            DirectoryStore(disk / "store").get(RESULT)


def test_a_full_scratch_disk_is_one_line_and_leaves_no_result(spec: Spec, atb: Atb, tmp_path: Path) -> None:
    done = atb.with_small_files(*job_arguments(spec, "r1", str(tmp_path), "--log-format", "json"))
    events = [json.loads(line) for line in done.lines]
    assert done.code == 75, done.output
    assert [event["message"] for event in events if event["level"] == "error"] == [events[-1]["message"]]
    assert "free some space" in events[-1]["message"]
    store = DirectoryStore(tmp_path)
    assert not [entry.key for entry in store.list(keys.job_prefix("r1", "WAVE-fast")) if "result.json" in entry.key]
    assert json.loads(store.get(keys.attempt("r1", "WAVE-fast", 1, "exit.json")))["category"] == "unavailable"


def chosen(written: list[str]) -> list[str]:
    """Every write but for the bundle's, whose first and last stand for all: they are written by one loop."""
    bundle = [key for key in written if "/bundles/" in key]
    return [key for key in written if key not in bundle[1:-1] and not is_courtesy(key)]


def is_courtesy(key: str) -> bool:
    return key.startswith(("results/", "probes/")) or "/evidence/" in key or key.endswith(COURTESIES)


def assert_whole(store: Store) -> None:
    """The result is in the store, and all its files as it says."""
    for file in Result.from_bytes(store.get(RESULT), RESULT).files:
        assert hashlib.sha256(store.get(file.key)).hexdigest() == file.sha256


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of its own; the test is skipped where this user may not mount one."""
    folder.mkdir()
    if os.geteuid() != 0 or sys.platform != "linux":
        pytest.skip("only root can mount a small disk")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)
