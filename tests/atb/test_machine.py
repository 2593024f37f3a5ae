from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from atb.machine import cpu_quota, group_folders, is_gone, machine_id, process_seconds, usable_cpus


def test_a_process_that_has_ended_is_gone_and_one_that_lives_is_not() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert not is_gone(machine_id(), child.pid)
    child.communicate(b"\n")
    assert is_gone(machine_id(), child.pid)
    assert not is_gone(machine_id(), os.getpid())


def test_processes_of_other_machines_are_unknown() -> None:
    assert not is_gone("another", 2**22 - 1)
    assert not is_gone("", 2**22 - 1)
    assert not is_gone(None, 2**22 - 1)
    assert not is_gone(machine_id(), 0), "a process group is no process"
    assert not is_gone(machine_id(), 2**40), "no process has that number"


def test_two_processes_of_one_machine_agree_on_it() -> None:
    code = "from atb.machine import machine_id; print(machine_id())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == machine_id() != ""


def test_a_process_knows_how_long_it_has_lived(tmp_path: Path) -> None:
    """The kernel counts in hundredths of a second, from before this process could read a clock."""
    code = "from atb.machine import process_seconds as s; import time; a = s(); time.sleep(0.2); print(a, s() - a)"
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lived, slept = map(float, done.stdout.split())
    assert 0 < lived + slept <= time.monotonic() - began + 0.02
    assert slept >= 0.19
    assert process_seconds(tmp_path) == 0.0, "the system does not say"


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({"cpu.max": "200000 100000\n"}, 2.0),
        ({"cpu.max": "50000 100000\n"}, 0.5),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu.max": "max"}, None),
        ({"cpu.max": "1 0"}, None),
        ({"cpu.max": "\xff"}, None),
        ({"cpu/cpu.cfs_quota_us": "150000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1.5),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({"cpu.max": "0 100000"}, None),
        ({}, None),
        ({"cgroup": "0::/", "cpu.max": "200000 100000"}, 2.0),
        ({"cgroup": "0::/a.slice/b", "a.slice/b/cpu.max": "150000 100000"}, 1.5),
        ({"cgroup": "0::/a.slice/b", "a.slice/b/cpu.max": "max 100000", "a.slice/cpu.max": "50000 100000"}, 0.5),
        ({"cgroup": "0::/a/b", "a/b/cpu.max": "300000 100000", "a/cpu.max": "200000 100000"}, 2.0),
        ({"cgroup": "0::/docker/c0ffee", "cpu.max": "250000 100000"}, 2.5),
        ({"cgroup": "0::/../../x", "cpu.max": "max 100000"}, None),
        ({"cgroup": "4:cpu,cpuacct:/k/p", "cpu,cpuacct/k/p/cpu.cfs_quota_us": "70000",
          "cpu,cpuacct/k/p/cpu.cfs_period_us": "100000"}, 0.7),
        ({"cgroup": "3:cpuset:/k\n4:cpu:/k", "cpu/k/cpu.cfs_quota_us": "200000",
          "cpu/k/cpu.cfs_period_us": "100000"}, 2.0),
        ({"cgroup": "garbage\n::\n"}, None),
        ({"cpu.max": f"{'9' * 5000} 100000"}, None),
        ({"cpu.max": f"100000 {'9' * 400}"}, None),
        ({"cpu/cpu.cfs_quota_us": "9" * 400, "cpu/cpu.cfs_period_us": "1"}, None),
    ],
)  # fmt: skip
def test_a_containers_limit_is_read_and_anything_else_is_none(
    tmp_path: Path, files: dict[str, str], quota: float | None
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(text, encoding="latin-1")
    assert cpu_quota(tmp_path, tmp_path) == quota
    cores = len(os.sched_getaffinity(0))
    assert usable_cpus(tmp_path, tmp_path) == (cores if quota is None else max(1, min(cores, int(quota))))


def test_the_groups_of_memory_are_found_as_those_of_cpus_are(tmp_path: Path) -> None:
    (tmp_path / "cgroup").write_text("7:cpu,memory:/k/p\n4:cpu:/c\n1:name=systemd:/s\n0::/a\n0::/../x\n")
    found = [str(folder.relative_to(tmp_path)) for folder in group_folders("memory", tmp_path, tmp_path)]
    both = "cpu,memory"
    assert found == [".", "memory", f"{both}/k/p", f"{both}/k", both, "memory/k/p", "memory/k", "a"]
