from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from launcher.worker.machine_slots import share_slots, usable_gpus


@pytest.mark.parametrize(
    ("jobs", "requested", "cores", "gpus", "words"),
    [
        (100, None, 8, (), "8 at a time with 1 thread each"),
        (2, None, 8, (), "2 at a time with 1 thread each"),
        (1, None, 8, (), "one at a time with 1 thread"),
        (100, 3, 8, (), "3 at a time with 1 thread each"),
        (100, 16, 8, (), "16 at a time with 1 thread each"),
        (100, None, 64, ("0",), "4 at a time on 1 GPU with 16 threads each"),
        (100, None, 2, ("0", "1"), "2 at a time on 2 GPUs with 1 thread each"),
        (100, 10, 64, ("0", "1"), "10 at a time on 2 GPUs with 6 threads each"),
    ],
)
def test_cores_and_cards_are_shared_out(
    jobs: int, requested: int | None, cores: int, gpus: tuple[str, ...], words: str
) -> None:
    assert share_slots(jobs, requested, cores=cores, gpus=gpus).words == words


def test_trainings_spread_over_the_cards() -> None:
    share = share_slots(100, cores=64, gpus=("2", "5"))
    busy: Counter[str] = Counter()
    for _ in range(share.parallel):
        busy[share.gpu_of(share.environment(busy))] += 1
    assert busy == {"2": 4, "5": 4}


def test_without_cards_nothing_is_hidden() -> None:
    assert share_slots(4, cores=2).environment({}) == {}


def test_cards_are_the_devices_of_the_machine_or_those_that_are_named(tmp_path: Path) -> None:
    for name in ("nvidia0", "nvidia10", "nvidia2", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    assert usable_gpus({}, tmp_path) == ("0", "2", "10")
    assert usable_gpus({"CUDA_VISIBLE_DEVICES": "1,MIG-abc"}, tmp_path) == ("1", "MIG-abc")
    assert usable_gpus({"CUDA_VISIBLE_DEVICES": ""}, tmp_path) == ()
    assert usable_gpus({"CUDA_VISIBLE_DEVICES": "-1"}, tmp_path) == ()
