from __future__ import annotations

import os
from pathlib import Path

import pytest

from trainer.compile_cache import MOST_BYTES, describe_processor, keep_compiled, load_compiled, shared_place


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path, Path]:
    """One worker's folder with two compiled nets, a later worker's, and the place that they share."""
    first, later = tmp_path / "first", tmp_path / "later"
    for folder in (first, later):
        folder.mkdir()
    for name in ("fast", "quality"):
        (first / f"{name}.pb").write_bytes(name.encode() * 1000)
    (first / "half.pb.tmp").write_bytes(b"being written")
    return first, later, shared_place(str(tmp_path / "shared"))


def test_what_one_worker_has_compiled_a_later_one_has(folders: tuple[Path, Path, Path]) -> None:
    first, later, place = folders
    load_compiled(place, first)  # nothing is there yet
    keep_compiled(first, place)
    kept = {path: path.stat().st_ino for path in place.iterdir()}
    keep_compiled(first, place)
    assert {path: path.stat().st_ino for path in place.iterdir()} == kept, "nothing is written twice"
    load_compiled(place, later)
    assert {path.name: path.read_bytes() for path in later.iterdir()} == {
        "fast.pb": b"fast" * 1000,
        "quality.pb": b"quality" * 1000,
    }


@pytest.mark.parametrize("damage", [b"", b"fast" * 500, b"FAST" * 1000])
def test_a_damaged_file_is_removed_and_kept_anew(folders: tuple[Path, Path, Path], damage: bytes) -> None:
    first, later, place = folders
    keep_compiled(first, place)
    next(place.glob("fast*")).write_bytes(damage)
    load_compiled(place, later)
    assert [path.name for path in later.iterdir()] == ["quality.pb"]
    keep_compiled(first, place)
    load_compiled(place, later)
    assert (later / "fast.pb").read_bytes() == b"fast" * 1000


def test_a_file_that_is_far_too_large_is_not_read(folders: tuple[Path, Path, Path]) -> None:
    first, later, place = folders
    keep_compiled(first, place)
    os.truncate(next(place.glob("fast*")), MOST_BYTES + 1)
    load_compiled(place, later)
    assert [path.name for path in later.iterdir()] == ["quality.pb"]


def test_a_place_that_can_not_be_used_stops_nothing(folders: tuple[Path, Path, Path], tmp_path: Path) -> None:
    first, later, _ = folders
    (tmp_path / "file").write_bytes(b"")
    keep_compiled(first, tmp_path / "file" / "place")
    load_compiled(tmp_path / "file" / "place", later)
    assert not list(later.iterdir())


def test_processors_that_run_the_same_code_are_equal(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text("processor\t: 0\nmodel name\t: A\nflags\t\t: sse avx2\ncpu MHz\t\t: 2000\n\nprocessor\t: 1\n")
    new.write_text("processor\t: 0\nmodel name\t: A\nflags\t\t: sse avx2 avx512f\ncpu MHz\t\t: 2000\n\n")
    assert describe_processor(old) != describe_processor(new)
    old.write_text(new.read_text().replace("2000", "2100"))
    assert describe_processor(old) == describe_processor(new), "its speed at this moment tells nothing"
