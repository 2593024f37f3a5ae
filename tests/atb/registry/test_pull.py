from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from atb.documents.champion import Champion
from atb.documents.result import FileEntry
from atb.errors import NotFound, SpecError, StoreError
from atb.registry.champions import ModelKey, require_champion
from atb.registry.pull import bundle_file, pull
from atb.storage import MemoryStore, Store
from tests.atb.registry.candidates import commit, measured
from tests.atb.registry.test_promote import promote

MODEL_KEY = ModelKey("BTCUSDT", "1h", "fast")


def serve(store: Store, run: str = "r1") -> Champion:
    champion = measured(require_champion(store, MODEL_KEY).entry) if run != "r1" else None
    promote(store, commit(store, run, champion=champion))
    return require_champion(store, MODEL_KEY)


def test_every_file_arrives_with_the_pointer_beside_it(store: Store, tmp_path: Path) -> None:
    champion = serve(store)
    paths = pull(store, champion, tmp_path / "model")
    assert [path.name for path in paths] == ["model.onnx", "card.md", "evidence.json"]
    assert paths[0].read_bytes() == store.get(champion.files[0].key)
    found = Champion.from_bytes((tmp_path / "model" / "champion.json").read_bytes(), "pulled")
    assert found == champion


def test_a_damaged_file_leaves_the_folder_as_it_was(tmp_path: Path) -> None:
    store = MemoryStore()
    pull(store, serve(store), tmp_path / "model")
    newer = serve(store, "r2")
    store.put(newer.files[1].key, b"another")
    with pytest.raises(StoreError, match=r"card\.md is not what"):
        pull(store, newer, tmp_path / "model")
    assert b"net of r1" in (tmp_path / "model" / "model.onnx").read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_later_pull_replaces_the_former_one(tmp_path: Path) -> None:
    store = MemoryStore()
    pull(store, serve(store), tmp_path / "model")
    pull(store, serve(store, "r2"), tmp_path / "model")
    assert b"net of r2" in (tmp_path / "model" / "model.onnx").read_bytes()


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    store = MemoryStore()
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(SpecError, match="name a new folder"):
        pull(store, serve(store), tmp_path)
    assert (tmp_path / "thesis.tex").exists()


def test_a_folder_is_replaced_only_where_a_pull_wrote_every_file_in_it(tmp_path: Path) -> None:
    store = MemoryStore()
    champion, folder, extra = serve(store), tmp_path / "model", tmp_path / "extra"
    extra.mkdir()
    (extra / "x").write_text("mine")
    damage: dict[str, Callable[[], object]] = {
        "a file of the user's": lambda: (folder / "notes.md").write_text("mine"),
        "a folder of the user's": lambda: shutil.copytree(extra, folder / "deep"),
        "a changed file": lambda: (folder / "card.md").write_text("my own words"),
        "a link": lambda: (folder / "link").symlink_to(tmp_path),
        "an empty folder of the user's": lambda: (folder / "empty").mkdir(),
        "a foreign pointer": lambda: (folder / "champion.json").write_text("{}"),
    }
    for what, spoil in damage.items():
        pull(store, champion, folder)
        spoil()
        before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        with pytest.raises(SpecError, match="holds files that do not belong to a pulled model"):
            pull(store, champion, folder)
        assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before, what
        shutil.rmtree(folder)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "champion.json").write_text('{"my": "file"}')
    (mine / "thesis.tex").write_text("years of work")
    with pytest.raises(SpecError, match="name a new folder"):
        pull(store, champion, mine)
    assert sorted(path.name for path in mine.iterdir()) == ["champion.json", "thesis.tex"]


def test_a_folder_that_lost_a_file_is_replaced(tmp_path: Path) -> None:
    store = MemoryStore()
    pull(store, serve(store), tmp_path / "model")
    (tmp_path / "model" / "card.md").unlink()
    pull(store, serve(store, "r2"), tmp_path / "model")
    assert (tmp_path / "model" / "card.md").exists()


@pytest.mark.parametrize("folder", [".", ".."])
def test_the_folder_that_it_runs_in_is_not_replaced(folder: str, tmp_path: Path, monkeypatch: Any) -> None:
    store = MemoryStore()
    champion = serve(store)
    (tmp_path / "outer" / "inner").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "outer" / "inner")
    with pytest.raises(SpecError, match="name another folder"):
        pull(store, champion, Path(folder))


def test_a_folder_that_cant_be_made_is_named(tmp_path: Path) -> None:
    store = MemoryStore()
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(SpecError, match=r"file/model can't be written: Not a directory; name another folder"):
        pull(store, serve(store), tmp_path / "file" / "model")


@pytest.mark.parametrize("path", ["../outside", "/etc/passwd", "a/../../b", "champion.json", "a\0b", ""])
def test_a_path_that_leaves_the_bundle_is_refused(path: str, tmp_path: Path) -> None:
    store = MemoryStore()
    champion = serve(store)
    file = champion.files[0].model_copy(update={"path": path})
    with pytest.raises(SpecError, match="not a path inside a bundle"):
        pull(store, champion.model_copy(update={"files": (file,)}), tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    store = MemoryStore()
    champion = serve(store)
    store.delete(champion.files[0].key)
    with pytest.raises(NotFound, match=r"model\.onnx"):
        pull(store, champion, tmp_path / "model")


def test_a_bundle_without_the_file_says_so() -> None:
    store = MemoryStore()
    champion = serve(store)
    found: FileEntry = bundle_file(champion.files, "model.onnx", "r1")
    assert found.size == len(store.get(found.key))
    with pytest.raises(SpecError, match=r"has no model_from_bars\.onnx"):
        bundle_file(champion.files, "model_from_bars.onnx", "r1")
