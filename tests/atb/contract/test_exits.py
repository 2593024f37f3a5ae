"""How a command ends: its code, one line, and how that line is found again in a log."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import NoReturn

import pytest

from atb.contract.exits import BY_CODE, PERMANENT_CODES, last_error, run_and_exit
from atb.errors import AtbError, DataError, DataNotReady, SpecError, StoreError


def classes(root: type[AtbError] = AtbError) -> set[type[AtbError]]:
    return {root}.union(*(classes(each) for each in root.__subclasses__()))


def test_every_error_has_a_code_of_the_table_and_every_code_an_error() -> None:
    assert {each.exit_code for each in classes() if each.__module__ == "atb.errors"} == set(BY_CODE) - {0}


def test_only_what_would_end_the_same_way_is_permanent() -> None:
    assert PERMANENT_CODES == (2, 10, 20, 21, 22, 30, 70)


@pytest.mark.parametrize("error", [DataError("no bars; look there"), DataNotReady("later"), StoreError("503")])
def test_a_known_failure_is_one_line_and_its_code(error: AtbError, capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> NoReturn:
        raise error

    with pytest.raises(SystemExit) as end:
        run_and_exit(fail)
    assert end.value.code == error.exit_code
    assert capsys.readouterr() == ("", f"error: {error}\n")


def test_a_bug_is_a_traceback_and_code_70(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        run_and_exit(lambda: [][1])
    assert end.value.code == 70
    said = capsys.readouterr().err
    assert "IndexError" in said
    assert last_error(said) == "this is a bug in atb; please report it with the lines above"


def event(level: str, message: str) -> str:
    return json.dumps(
        {"time": "2026-01-01T00:00:00Z", "level": level, "symbol": "A", "preset": "b", "message": message}
    )


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("", ""),
        ("all is well\n", ""),
        ("epoch 1\nerror: too few bars; look there\n", "too few bars; look there"),
        ("error: the first\nerror: the last\nbye\n", "the last"),
        (f"{event('info', 'epoch 1')}\n{event('error', 'a said: b')}\n", "a said: b"),
        (f"{event('info', 'epoch 1')} {event('error', 'on one line')}", "on one line"),
        (f"{event('info', 'it is no error: it is a word')}\n", ""),
        (f"{event('error', 'cut')[:-20]}", ""),
        (event("error", "whole")[40:] + "\n" + event("info", "later"), ""),
    ],
)
def test_the_last_error_is_found_in_text_and_in_json(output: str, said: str) -> None:
    assert last_error(output) == said


@pytest.mark.parametrize("address", ["https://me:hidden@h/x", "me:hidden@h:9000", "https://h/x?token=hidden"])
def test_a_message_that_repeats_an_address_holds_no_password(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setattr("sys.argv", ["atb"])

    def refuse() -> None:
        raise SpecError(f"--push-gateway {address}: it is no address")

    with pytest.raises(SystemExit):
        run_and_exit(refuse)
    assert "hidden" not in capsys.readouterr().err


@pytest.mark.parametrize("work", ["time.sleep(60)", "next(map_calls(store, time.sleep, [60.0] * 40))", "fail()"])
def test_a_command_that_ctrl_c_ends_waits_for_no_thread_and_has_a_shells_code(work: str) -> None:
    script = f"""
import os, signal, threading, time
import click
from atb.contract.exits import run_and_exit
from atb.storage import MemoryStore
from atb.storage.read import map_calls

def fail():
    try:
        time.sleep(60)
    except KeyboardInterrupt as end:
        raise SystemError("an import was cut off") from end

store = MemoryStore()
store.concurrency = 2
interrupt = threading.Timer(0.1, os.kill, [os.getpid(), signal.SIGINT])
run_and_exit(click.command(lambda: (interrupt.start(), {work})))
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=50, check=False)
    assert ended.returncode == 130, ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_launcher_that_sigterm_ends_waits_for_no_silent_server() -> None:
    script = """
import os, signal, socket, sys, threading
from concurrent.futures import ThreadPoolExecutor
from atb.contract.exits import run_and_exit
from launcher.plan.signals import catch_stop

def main():
    with socket.create_server(("127.0.0.1", 0)) as server, catch_stop() as stopped_by, stopped_by.breakable():
        client = socket.create_connection(server.getsockname())
        ThreadPoolExecutor().submit(client.recv, 1)
        threading.Timer(0.1, os.kill, [os.getpid(), signal.SIGTERM]).start()
        client.recv(1)
    sys.exit(128 + stopped_by())

run_and_exit(main)
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=50, check=False)
    assert (ended.returncode, ended.stderr) == (143, "")


def test_a_log_that_takes_no_more_at_the_moment_ends_nothing() -> None:
    script = """
import os, sys
from atb.contract.exits import run_and_exit
os.set_blocking(2, False)
run_and_exit(lambda: [print("x" * 1000, file=sys.stderr) for _ in range(1000)])
"""
    reader, writer = os.pipe()
    try:
        assert subprocess.run([sys.executable, "-c", script], stderr=writer, timeout=50, check=False).returncode == 0
    finally:
        os.close(reader)
        os.close(writer)
