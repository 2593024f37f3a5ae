"""A folder is filled as a whole, and nothing goes that the command did not make."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from atb.errors import SpecError
from atb.storage.folders import find_strange, real_path, replaced_folder


def names(data: bytes) -> dict[str, str]:
    return {"x": hashlib.sha256(data).hexdigest()}


def fill(folder: Path, text: str = "new", *, meanwhile: Callable[[], object] = lambda: None) -> None:
    with replaced_folder(folder, "about", names, "a model") as staging:
        (staging / "x").write_text(text)
        (staging / "about").write_text(text)
        meanwhile()


def test_a_folder_beside_it_that_another_process_left_is_kept(tmp_path: Path) -> None:
    others = [tmp_path / f".model.{os.getpid()}{end}" for end in ("", ".former")]
    for other in others:
        other.mkdir()
        (other / "mine").write_text("mine")
    fill(tmp_path / "model", "old")
    fill(tmp_path / "model")
    assert (tmp_path / "model" / "x").read_text() == "new"
    assert sorted(tmp_path.iterdir()) == sorted([*others, tmp_path / "model"])
    assert all((other / "mine").read_text() == "mine" for other in others)


def test_a_folder_whose_successor_can_not_be_put_in_place_is_there_again(tmp_path: Path) -> None:
    fill(tmp_path / "model", "old")

    def clean_up() -> None:
        """What removes old temporary folders."""
        for folder in tmp_path.glob(".model.*"):
            shutil.rmtree(folder / "new")

    with pytest.raises(SpecError, match="can't be written"):
        fill(tmp_path / "model", meanwhile=clean_up)
    assert (tmp_path / "model" / "x").read_text() == "old"
    assert list(tmp_path.iterdir()) == [tmp_path / "model"]


def test_a_link_that_leads_to_itself_is_no_folder_to_write_to(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to("loop")
    for folder in (real_path(loop), real_path(loop) / "below"):
        with pytest.raises(SpecError, match="can't be written"):
            fill(folder)
    assert loop.is_symlink()


def test_the_file_that_names_the_others_may_be_anything(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    for make in (os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")):
        folder.mkdir(exist_ok=True)
        make(folder / "about.json")
        assert find_strange(folder, "about.json", lambda data: {"x": "0"}) == "about.json"
        (folder / "about.json").rmdir() if make is os.mkdir else (folder / "about.json").unlink()


def test_what_is_put_into_a_folder_while_its_successor_is_made_stays(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    fill(folder, "old")
    with pytest.raises(SpecError, match=r"holds files that do not belong to a model \(notes\)"):
        fill(folder, meanwhile=lambda: (folder / "notes").write_text("mine"))
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"about": "old", "x": "old", "notes": "mine"}
    assert list(tmp_path.iterdir()) == [folder]


def test_of_many_who_fill_one_folder_at_once_each_leaves_it_whole(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(fill, folder, str(number)) for number in range(40)]:
            done.result()
    assert len({path.read_text() for path in folder.iterdir()}) == 1
    assert list(tmp_path.iterdir()) == [folder]


def test_a_folder_that_holds_much_else_is_refused_at_the_first_thing(tmp_path: Path) -> None:
    asked: list[Path] = []

    class Watched(type(tmp_path)):  # type: ignore[misc]
        """A path that says which folders were looked into."""

        def iterdir(self) -> Iterator[Path]:
            asked.append(self)
            return iter(super().iterdir())

    (tmp_path / "home" / "a").mkdir(parents=True)
    (tmp_path / "home" / "b" / "c").mkdir(parents=True)
    assert find_strange(Watched(tmp_path / "home"), "about", names) == "a"
    assert asked == [tmp_path / "home"]
    with pytest.raises(SpecError, match=r"can't be written: File name too long; name another folder"):
        fill(tmp_path / ("x" * 300) / "model")


def test_ctrl_c_in_the_last_moment_leaves_the_former_folder(tmp_path: Path) -> None:
    fill(tmp_path / "model", "old")
    looks: list[bytes] = []

    def read(data: bytes) -> dict[str, str]:
        looks.append(data)
        if len(looks) == 2:
            raise KeyboardInterrupt
        return names(data)

    with pytest.raises(KeyboardInterrupt), replaced_folder(tmp_path / "model", "about", read, "a model") as staging:
        (staging / "x").write_text("new")
    assert (tmp_path / "model" / "x").read_text() == "old"
    assert list(tmp_path.iterdir()) == [tmp_path / "model"]
