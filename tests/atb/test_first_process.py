"""SIGTERM to process 1, before anyone has a checkpoint to save."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = "import trainer.cli, time; print('imported', flush=True); time.sleep(60)"


def test_a_container_s_first_process_ends_at_sigterm_before_it_trains() -> None:
    """In a process namespace of its own, where the interpreter is process 1 as it is in a Pod."""
    command = ["unshare", "--pid", "--fork", "--kill-child", sys.executable, "-c", CODE]
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    except FileNotFoundError:
        pytest.skip("unshare is not here")
    with process:
        assert process.stdout is not None
        if process.stdout.readline() != "imported\n":
            pytest.skip("this machine allows no process namespaces")
        child = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True)
        subprocess.run(["kill", "-TERM", child.stdout.strip()], check=True)
        assert process.wait(30) == 143  # it would sleep for 60 s
