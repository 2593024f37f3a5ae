"""Control groups as the kernel shows them in a container: a group of its own below limits of its parents."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from launcher.worker.memory_meter import CgroupMeter

GIB = 1 << 30


@pytest.fixture
def place(tmp_path: Path) -> tuple[Path, Path]:
    """The roots of the control groups and of the processes: ``/pods/one`` has 8 GiB, ``/pods`` 6 GiB."""
    root, processes = tmp_path / "cgroup", tmp_path / "proc"
    inner = root / "pods" / "one"
    inner.mkdir(parents=True)
    (processes / "self").mkdir(parents=True)
    (processes / "self" / "cgroup").write_text("1:name=systemd:/\n0::/pods/one\n")
    (inner / "memory.max").write_text(f"{8 * GIB}\n")
    (root / "pods" / "memory.max").write_text(f"{6 * GIB}\n")
    (root / "pods" / "memory.current").write_text(f"{5 * GIB}\n")
    (root / "pods" / "memory.stat").write_text(f"anon {3 * GIB}\ninactive_file {2 * GIB}\nslab 4096\n")
    return root, processes


def test_the_tightest_limit_on_the_way_up_counts_and_files_that_can_be_dropped_do_not(place: tuple[Path, Path]) -> None:
    meter = CgroupMeter(*place)
    assert (meter.limit, meter.used()) == (6 * GIB, 3 * GIB)


def test_what_a_process_holds_is_its_proportional_set(place: tuple[Path, Path]) -> None:
    folder = place[1] / "7"
    folder.mkdir()
    (folder / "status").write_text("Name:\tatb\nVmRSS:\t  900 kB\n")
    assert CgroupMeter(*place).of(7) == 900 * 1024
    (folder / "smaps_rollup").write_text("00400000-7fff ---p 00000000 00:00 0  [rollup]\nRss: 900 kB\nPss: 300 kB\n")
    assert CgroupMeter(*place).of(7) == 300 * 1024
    assert CgroupMeter(*place).of(8) == 0
    assert CgroupMeter().of(os.getpid()) > 1 << 20


def test_control_groups_of_version_1_count_as_a_container_shows_them(place: tuple[Path, Path]) -> None:
    root, processes = place
    (processes / "self" / "cgroup").write_text("8:cpu,cpuacct:/pods/one\n4:memory:/pods/one\n0::/\n")
    own = root / "memory"
    own.mkdir()
    (own / "memory.limit_in_bytes").write_text(f"{4 * GIB}\n")
    (own / "memory.usage_in_bytes").write_text(f"{3 * GIB}\n")
    (own / "memory.stat").write_text(f"inactive_file 4096\ntotal_inactive_file {GIB}\n")
    meter = CgroupMeter(*place)
    assert (meter.limit, meter.used()) == (4 * GIB, 2 * GIB)
    (own / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    assert CgroupMeter(*place).limit is None


def test_without_control_groups_of_memory_there_is_no_limit(place: tuple[Path, Path]) -> None:
    (place[1] / "self" / "cgroup").write_text("4:cpu:/pods/one\n")
    assert CgroupMeter(*place).limit is None
    assert CgroupMeter(*place).used() == 0
    (place[1] / "self" / "cgroup").unlink()
    assert CgroupMeter(*place).limit is None


@pytest.mark.parametrize("groups", [b"garbage\n", b"1:2\n", b"0::/\xff\n", b"", b"\0", b"0::/../../pods\n"])
def test_what_is_no_list_of_groups_leaves_the_containers_own_limit(place: tuple[Path, Path], groups: bytes) -> None:
    (place[1] / "self" / "cgroup").write_bytes(groups)
    (place[0] / "memory.max").write_text(f"{2 * GIB}\n")
    assert CgroupMeter(*place).limit == 2 * GIB


@pytest.mark.parametrize("limit", ["0", "-5", "1.5", "9" * 5000, "", "\u0663", "max"])
def test_a_limit_that_is_no_number_above_zero_is_none_and_ends_no_training(
    place: tuple[Path, Path], limit: str
) -> None:
    (place[0] / "pods" / "memory.max").write_text(limit)
    assert CgroupMeter(*place).limit == 8 * GIB
