"""``atb doctor`` says what a job would meet here, and exits as that job would."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from atb.errors import ExportError, NoAccelerator, StoreError
from atb.storage import DirectoryStore, MemoryStore, Store
from trainer.cli import atb
from trainer.doctor import (
    Devices,
    check_clock,
    check_machine,
    check_scratch,
    check_store,
    check_training,
    find_driver,
    judge_devices,
)

CUDA = "CUDA 12.5, cuDNN 9"


@pytest.mark.parametrize(
    ("found", "remedy"),
    [
        (Devices((), None, None), "use the CUDA image"),
        (Devices((), CUDA, None), "driver and device plugin"),
        (Devices((), CUDA, "580.1"), "ask for the node's GPU resource"),
        (None, "trains nothing"),
    ],
)
def test_a_requested_but_absent_gpu_is_exit_21_with_what_was_found(found: Devices | None, remedy: str) -> None:
    error = judge_devices(found, requested=1).error
    assert isinstance(error, NoAccelerator)
    assert error.exit_code == 21
    assert remedy in str(error)


def test_as_many_gpus_as_requested_pass_and_are_named() -> None:
    finding = judge_devices(Devices(("NVIDIA T4", "NVIDIA T4"), CUDA, "580.1"), requested=2)
    assert finding.error is None
    assert finding.text == f"NVIDIA T4, NVIDIA T4 (driver 580.1; TensorFlow built for {CUDA})"


def test_a_driver_without_a_gpu_is_noted_even_if_none_was_requested() -> None:
    assert judge_devices(Devices((), CUDA, "580.1"), requested=0).note
    assert not judge_devices(Devices((), CUDA, None), requested=0).note


def test_the_driver_is_read_from_the_kernel_module(tmp_path: Path) -> None:
    version = tmp_path / "version"
    version.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.95.05  Tue Sep 23\nGCC version:  12.2.0\n")
    assert find_driver(version) == "580.95.05"


def test_a_containers_limits_are_reported_rather_than_the_nodes_size(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    (tmp_path / "memory.max").write_text(f"{2**30}\n")
    assert "1.5 of" in check_machine(tmp_path).text
    assert "1.0 GiB" in check_machine(tmp_path).text


@pytest.mark.parametrize("limit", ["9" * 5000, "\xff", "0", "-1"])
def test_a_limit_that_is_no_number_is_none(tmp_path: Path, limit: str) -> None:
    (tmp_path / "memory.max").write_text(limit, encoding="latin-1")
    assert "GiB" in check_machine(tmp_path).text


def test_unlimited_containers_report_the_nodes_size(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("max 100000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert " of " not in check_machine(tmp_path).text.split("GiB")[0].split("CPUs")[0]


def test_scratch_is_writable_here() -> None:
    assert check_scratch().error is None


def test_every_store_is_found_well_with_an_identity(store: Store) -> None:
    finding = check_store(store)
    assert finding.error is None
    assert not finding.note
    assert store.identity() in finding.text
    assert check_clock(store).error is None
    assert list(store.list("probes/")) == []


def test_a_clock_far_from_the_stores_is_a_fault() -> None:
    behind = check_clock(MemoryStore(), now=lambda: datetime.now(UTC) - timedelta(minutes=10))
    assert isinstance(behind.error, StoreError)
    assert "600 s from the store's" in str(behind.error) or "599 s" in str(behind.error)


def test_a_store_that_cannot_be_written_is_exit_75(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    error = check_store(DirectoryStore(tmp_path / "file")).error
    assert isinstance(error, StoreError)
    assert error.exit_code == 75


def test_all_is_well_here_and_one_epoch_is_trained_and_exported_as_a_job_would(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "trainer.cli", "doctor", "--store", str(tmp_path)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    lines = {line.split()[1]: line for line in answer.stdout.splitlines()}
    assert list(lines) == ["versions", "machine", "scratch", "device", "training", "store", "clock"]
    assert "one epoch of fast on" in lines["training"]
    assert float(lines["training"].split("within ")[1].split()[0]) < 1e-4


def test_a_training_that_fails_ends_as_the_job_would() -> None:
    def fail(gpus: int) -> str:
        raise ExportError(f"not the trained model on {gpus}")

    assert isinstance(check_training(fail, 2).error, ExportError)


def test_the_command_prints_a_line_for_each_check_and_raises_the_first_fault(tmp_path: Path) -> None:
    answer = CliRunner().invoke(atb, ["doctor", "--store", str(tmp_path), "--gpus", "64"])
    lines = [line.split()[:2] for line in answer.output.splitlines()]
    assert lines[:4] == [["ok", "versions"], ["ok", "machine"], ["ok", "scratch"], ["FAULT", "device"]]
    assert ["ok", "store"] in lines
    assert isinstance(answer.exception, NoAccelerator)
