from __future__ import annotations

import os
import subprocess
import sys

from atb.machine import is_gone, machine_id


def test_a_process_that_has_ended_is_gone_and_one_that_lives_is_not() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert not is_gone(machine_id(), child.pid)
    child.communicate(b"\n")
    assert is_gone(machine_id(), child.pid)
    assert not is_gone(machine_id(), os.getpid())


def test_nothing_is_said_about_other_machines() -> None:
    assert not is_gone("another", 2**22 - 1)
    assert not is_gone("", 2**22 - 1)
    assert not is_gone(None, 2**22 - 1)
    assert not is_gone(machine_id(), 0), "a process group is no process"


def test_two_processes_of_one_machine_agree_on_it() -> None:
    code = "from atb.machine import machine_id; print(machine_id())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == machine_id() != ""
