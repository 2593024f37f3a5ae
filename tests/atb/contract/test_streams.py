"""What a terminal, an argument or a full disk does to a command: one line and a code, never a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from atb.contract.exits import last_error, one_line
from atb.storage import DirectoryStore

ROOT = Path(__file__).parents[3]
COMMAND = [sys.executable, "-c"]
RUN = "from atb.contract.exits import run_and_exit\nfrom atb.errors import SpecError\n"


def run(code: str, *arguments: str | bytes, **options: Any) -> subprocess.CompletedProcess[bytes]:
    command = [*COMMAND, RUN + code, *arguments]
    done: subprocess.CompletedProcess[bytes] = subprocess.run(
        command, stderr=subprocess.PIPE, check=False, cwd=Path(__file__).parents[3], **options
    )
    return done


@pytest.mark.parametrize("text", ["'few'", "'many' * 100_000"])
def test_a_full_disk_at_the_output_is_one_line(text: str) -> None:
    with Path("/dev/full").open("wb") as full:
        done = run(f"run_and_exit(lambda: print({text}))", stdout=full)
    assert done.returncode == 75
    assert done.stderr.decode() == (
        "error: standard output can't be written: No space left on device; free some space, or write elsewhere\n"
    )


@pytest.mark.parametrize("error", ["OSError(28, 'No space left on device')", "OSError(122, 'Quota exceeded', '/x/y')"])
def test_a_full_disk_elsewhere_is_not_blamed_on_the_output(error: str) -> None:
    done = run(f"def f():\n print('done'); raise {error}\nrun_and_exit(f)", stdout=subprocess.PIPE)
    assert (done.returncode, done.stdout) == (75, b"done\n")
    where = "/x/y" if "/x/y" in error else "a file"
    assert done.stderr.decode().startswith(f"error: {where} can't be written: ")
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        ("MemoryError()", "ulimit -v"),
        ("OSError(12, 'Cannot allocate memory')", "ulimit -v"),
        ("ImportError('x.so: failed to map segment from shared object')", "ulimit -v"),
        ("OSError(24, 'Too many open files')", "ulimit -n"),
        ("BlockingIOError(11, 'Resource temporarily unavailable')", "ulimit -u"),
        ('RuntimeError("can\'t start new thread")', "ulimit -u"),
    ],
)
def test_a_limit_of_the_process_is_one_line_that_says_what_to_raise(error: str, remedy: str) -> None:
    done = run(f"def f(): raise {error}\nrun_and_exit(f)")
    assert (done.returncode, done.stderr.count(b"\n")) == (75, 1)
    assert remedy in done.stderr.decode()


def test_a_full_disk_at_the_errors_still_ends_with_the_code() -> None:
    code = "def f(): raise SpecError('x')\nrun_and_exit(f)"
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([*COMMAND, RUN + code], stdout=full, stderr=full, check=False)
    assert done.returncode == 2


def test_an_output_that_is_only_open_for_reading_is_one_line() -> None:
    with Path(os.devnull).open("rb") as reading:
        done = run("run_and_exit(lambda: print('x' * 100_000))", stdout=reading)
    assert (done.returncode, done.stderr.count(b"\n")) == (75, 1)


def test_a_working_directory_that_is_gone_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    words = ["sh", "-c", 'cd gone; rmdir ../gone; exec "$0" -c "$1"', sys.executable, f"{RUN}run_and_exit(print)"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, capture_output=True, cwd=tmp_path, env=environment, check=False)
    assert (done.returncode, done.stdout) == (2, b"")
    assert (
        done.stderr
        == b"error: the working directory can't be used: No such file or directory; change to another (cd)\n"
    )


def test_messages_that_can_not_be_written_end_nothing() -> None:
    code = "import sys, logging\ndef f():\n for _ in range(9): print('m' * 5000, file=sys.stderr)\n"
    code += " logging.warning('w'); print('done')\nrun_and_exit(f)"
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([*COMMAND, RUN + code], stdout=subprocess.PIPE, stderr=full, check=False, cwd=ROOT)
    assert (done.returncode, done.stdout) == (0, b"done\n")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_stream_that_is_closed_takes_what_is_printed_and_no_file_does(closed: str, tmp_path: Path) -> None:
    code = "import sys\ndef f():\n with open('file', 'w') as file:\n  print('out'); print('err', file=sys.stderr)\n"
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" -c "$1" {closed}', sys.executable, f"{RUN}{code}  sys.stdin.read()\nrun_and_exit(f)"],
        stdin=subprocess.DEVNULL, capture_output=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0
    assert done.stdout == (b"" if ">&-" in closed.replace("2>&-", "") else b"out\n")
    assert done.stderr == (b"" if "2>&-" in closed else b"err\n")
    assert (tmp_path / "file").read_text() == ""


def test_a_character_the_terminal_cannot_show_is_printed_escaped() -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"}
    done = run("run_and_exit(lambda: print('\\u5e01 \\udcff'))", stdout=subprocess.PIPE, env=environment)
    assert (done.returncode, done.stdout) == (0, b"\\u5e01 \\udcff\n")


@pytest.mark.parametrize("argument", [b"\xff", b"--source=files:/data/\xe9t\xe9"])
def test_an_argument_that_is_not_utf_8_is_refused(argument: bytes) -> None:
    done = run("run_and_exit(print)", argument, stdout=subprocess.PIPE, env={**os.environ, "PYTHONUTF8": "1"})
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"is not UTF-8; write it in UTF-8" in done.stderr
    assert done.stderr.count(b"\n") == 1


def test_what_was_read_from_a_document_does_not_steer_the_terminal() -> None:
    code = r"""
def f(): raise SpecError("job \x1b]0;owned\x07 \x9b31m said\ntwo lines\u202e\ud800")
run_and_exit(f)
"""
    message = run(code, stdout=subprocess.PIPE).stderr.decode()
    assert message == "error: job \ufffd]0;owned\ufffd \ufffd31m said two lines\ufffd\ufffd\n"
    assert one_line("日本 é\tx") == "日本 é x"


def test_a_message_that_repeats_a_long_argument_is_short_and_keeps_what_to_do() -> None:
    line = one_line(f"run '{'x' * 100_000}' is unknown; see: atb-launch list")
    assert len(line) < 2_100
    assert line.startswith("run 'xxx")
    assert line.endswith("xxx' is unknown; see: atb-launch list")


def test_an_error_inside_of_a_line_is_none() -> None:
    assert last_error("read error: timed out, going on\n") == ""
    assert last_error("error: the one\nread error: timed out, going on\n") == "the one"
    assert (
        last_error('{"time": "t", "level": "error", "message": "a bug in atb: X\\nTraceback"}\n') == "a bug in atb: X"
    )


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_files_of_a_store_have_the_rights_that_the_umask_leaves(mask: int, mode: int, tmp_path: Path) -> None:
    before = os.umask(mask)
    try:
        DirectoryStore(tmp_path / "store").put("a/b", b"x")
    finally:
        os.umask(before)
    assert (tmp_path / "store" / "a" / "b").stat().st_mode & 0o777 == mode
