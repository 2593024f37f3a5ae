"""A folder is filled as a whole, and nothing goes that the command did not make."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from atb.errors import SpecError
from atb.storage.folders import find_strange, real_path, replaced_folder


def fill(folder: Path, text: str = "new") -> None:
    with replaced_folder(folder) as staging:
        (staging / "x").write_text(text)


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
    with pytest.raises(SpecError, match="can't be written"), replaced_folder(tmp_path / "model") as staging:
        staging.rmdir()  # what a clean-up of old temporary folders would do
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
