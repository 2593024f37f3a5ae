"""What is no file is no object of a directory, and stops nothing that is one."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from atb.errors import NotFound, StoreError, Unreadable
from atb.storage import DirectoryStore


def bind_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        here = os.getcwd()
        os.chdir(path.parent)  # a socket's name may be short only
        try:
            made.bind(path.name)
        finally:
            os.chdir(here)


NO_FILES: dict[str, Callable[[Path], object]] = {
    "a folder": Path.mkdir,
    "a pipe": os.mkfifo,
    "a socket": bind_socket,
    "a link to nothing": lambda path: path.symlink_to("nowhere"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a device without an end": lambda path: path.symlink_to("/dev/zero"),
    "a link to a folder": lambda path: path.symlink_to("/"),
}


@pytest.mark.parametrize("kind", NO_FILES)
def test_what_is_no_file_is_absent_and_what_lies_beside_it_is_listed(kind: str, tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path / "store")
    store.put("runs/r1/plan.json", b"1")
    NO_FILES[kind](store.root / "runs/r1/manifest.json")
    assert [entry.key for entry in store.list("")] == ["runs/r1/plan.json"]
    with pytest.raises(NotFound):
        store.get("runs/r1/manifest.json")
    with pytest.raises(NotFound):
        store.get_file("runs/r1/manifest.json", tmp_path / "there")
    with pytest.raises(StoreError, match=r"can't hold runs/r1/manifest\.json: what has that name is no file; move it"):
        store.put_if_absent("runs/r1/manifest.json", b"2")
    if kind == "a folder":
        with pytest.raises(StoreError, match=r"can't hold runs/r1/manifest\.json: what has that name is no file"):
            store.put("runs/r1/manifest.json", b"2")
    else:
        store.put("runs/r1/manifest.json", b"2")
        assert store.get("runs/r1/manifest.json") == b"2"
    assert os.listdir(store.root / ".staging") == []


def test_a_file_whose_name_is_no_text_is_no_object(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    store.put("runs/r1/é.json", b"1")
    for name in (b"\xff.json", b"r\xe9/plan.json"):
        path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/runs/" + name))
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"1")
    assert [entry.key for entry in store.list("runs/")] == ["runs/r1/é.json"]
    assert list(store.folders("runs/")) == ["r1"]


def test_a_file_in_the_place_of_a_folder_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "runs").write_bytes(b"a stranger's")
    store = DirectoryStore(tmp_path)
    assert list(store.folders("runs/")) == []
    assert list(store.list("runs/")) == []
    with pytest.raises(StoreError, match=r"can't hold runs/r1/plan\.json: .*/runs is no folder; move it away"):
        store.put("runs/r1/plan.json", b"1")
    with pytest.raises(StoreError, match=r"can't hold plan\.json: name a directory as --store"):
        DirectoryStore(tmp_path / "runs").put("plan.json", b"1")


@pytest.mark.parametrize("seconds", [-(2.0**33), 2.0**33])
def test_a_file_may_be_of_any_time(seconds: float, tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    store.put("x", b"1")
    os.utime(tmp_path / "x", (seconds, seconds))
    (entry,) = store.list("")
    assert 1970 <= entry.modified.year <= 9999


def test_an_object_larger_than_any_of_ours_is_not_read_into_memory(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    with (tmp_path / "plan.json").open("wb") as file:
        file.truncate(200 << 30)  # of nothing: it takes no room
    for read in (store.get, store.get_with_etag):
        with pytest.raises(Unreadable, match=r"^plan\.json in .* has 214,748,364,800 bytes, and nothing of ours has"):
            read("plan.json")


@pytest.mark.parametrize("prefix", ["../", "../other/", "runs/../../other/", "./", "/", "x\0/", ".staging/", "runs/./"])
def test_a_prefix_that_no_key_has_lists_nothing_of_elsewhere(prefix: str, tmp_path: Path) -> None:
    store, other = DirectoryStore(tmp_path / "store"), DirectoryStore(tmp_path / "other")
    for each in (store, other):
        each.put("runs/r1/plan.json", b"1")
    assert list(store.list(prefix)) == []
    assert list(store.folders(prefix)) == []
