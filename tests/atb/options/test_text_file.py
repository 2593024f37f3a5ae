"""Files of names and options that a user points at."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from atb.options.text_file import MOST_BYTES, read_text_file


def test_a_text_is_read_without_its_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "names"
    path.write_bytes(b"\xef\xbb\xbfBTCUSDT \xe5\xb8\x81\n")
    assert read_text_file(path) == "BTCUSDT \u5e01\n"


def test_a_pipe_serves_too(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_text, args=("BTCUSDT",), daemon=True)
    writer.start()
    assert read_text_file(path) == "BTCUSDT"
    writer.join()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nowhere", "No such file"),
        ("folder", "Is a directory"),
        ("latin", "not text in UTF-8, at byte 1"),
        ("large", "more than 8 MiB"),
        ("/dev/zero", "more than 8 MiB"),
        ("~nobody-of-that-name/x", "no such user"),
        ("a\0b", "null byte"),
        ("x" * 5_000, "too long"),
    ],
)
def test_what_cannot_be_read_is_one_reason(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "latin").write_bytes(b"a\xe9")
    with (tmp_path / "large").open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(ValueError, match=reason):
        read_text_file(name if name.startswith("~") else tmp_path / name)
