"""Devices: found, refused, shared."""

from __future__ import annotations

import json

import numpy as np
import pytest

from atb.errors import NoAccelerator, SpecError
from tests.processes import Atb
from trainer.fit.device import Accelerator, Device, count_gpus, prepare_device


def test_a_missing_gpu_is_reported_with_what_was_looked_for() -> None:
    with pytest.raises(NoAccelerator, match=r"looked for 1 GPU and found 0: CUDA_VISIBLE_DEVICES .* atb doctor"):
        prepare_device("gpu")
    with pytest.raises(NoAccelerator, match="looked for 4 GPUs and found 3"):
        count_gpus("gpu", 4, 3)


@pytest.mark.parametrize(
    ("accelerator", "found", "taken"),
    [("auto", 0, 0), ("auto", 3, 3), ("auto", 4, 4), ("auto", 8, 4), ("gpu", 8, 4), ("cpu", 8, 0)],
)
def test_auto_takes_as_many_of_four_gpus_as_are_there(accelerator: Accelerator, found: int, taken: int) -> None:
    assert count_gpus(accelerator, 4, found) == taken


def test_four_gpus_that_are_not_required_become_the_cpu_where_there_is_none() -> None:
    assert prepare_device("auto", gpus=4) == Device("cpu", 1, 1)


def test_no_gpu_at_all_is_spelt_cpu() -> None:
    with pytest.raises(SpecError, match="--accelerator cpu"):
        prepare_device("auto", gpus=0)


def test_two_replicas_learn_what_one_device_does(atb: Atb) -> None:
    done = atb.module("tests.trainer.fit.two_replicas")
    assert done.code == 0, done.output
    one, two = json.loads(done.lines[-1])
    np.testing.assert_allclose(one, two, rtol=1e-3, atol=1e-4)
