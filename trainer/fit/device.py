"""Where a fit runs. Call ``prepare_device`` once a process, before TensorFlow has run anything.

A fit on the CPU takes one thread, however many there are: sums taken by several come out a little different for each
number of threads, and the same spec, bars and code must give the same model. More of them make these small nets no
faster; many trainings side by side use a machine's cores instead.
"""

from __future__ import annotations

import contextlib
import os
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal

import tensorflow as tf

from atb.errors import NoAccelerator, SpecError
from atb.machine import usable_cpus

Accelerator = Literal["auto", "gpu", "cpu"]
_XLA_FLAGS = "--xla_cpu_use_fusion_emitters=false"
"""XLA's older code generator: it compiles a step in less time and half the memory, and the step is as fast."""


@dataclass(frozen=True)
class Device:
    """``count`` GPUs fed by ``threads`` CPU threads, or one thread of a CPU (several logical ones only in tests)."""

    kind: Literal["cpu", "gpu"]
    count: int
    threads: int

    @property
    def name(self) -> str:
        """For people: ``cpu (1 thread)``, ``2 gpus``."""
        if self.kind == "cpu":
            return "cpu (1 thread)"
        return f"{self.count} gpu{'s' * (self.count > 1)}"

    def spread(self) -> AbstractContextManager[Any]:
        """The scope to build and fit a net in: one replica on each GPU where there are several.

        Gradients are added up on one of them: these nets have a few MB of weights at most, and so no image needs
        NCCL's 470 MB, and the way is the same as that of the tests on logical devices.
        """
        if self.count == 1:
            return contextlib.nullcontext()
        kind = self.kind.upper()
        scope: AbstractContextManager[Any] = tf.distribute.MirroredStrategy(
            [f"{kind}:{number}" for number in range(self.count)], tf.distribute.ReductionToOneDevice()
        ).scope()
        return scope


def prepare_device(accelerator: Accelerator = "auto", gpus: int = 1, threads: int = 0) -> Device:
    """Choose and set up the device. ``threads``: of the CPU beside GPUs; 0 for as many as this process may use.

    GPU memory grows with need, so that others can share the card. Raises NoAccelerator and SpecError as
    ``count_gpus`` does.
    """
    found = tf.config.list_physical_devices("GPU") if accelerator != "cpu" else []
    count = count_gpus(accelerator, gpus, len(found))
    threads = (threads or usable_cpus()) if count else 1
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    if not count:
        tf.config.set_visible_devices([], "GPU")
        os.environ["XLA_FLAGS"] = f"{_XLA_FLAGS} {os.environ.get('XLA_FLAGS', '')}"  # of two, the later one stands
        return Device("cpu", 1, 1)
    tf.config.set_visible_devices(found[:count], "GPU")
    for each in found[:count]:
        tf.config.experimental.set_memory_growth(each, True)
    return Device("gpu", count, threads)


def count_gpus(accelerator: Accelerator, gpus: int, found: int) -> int:
    """How many of the GPUs ``found`` a fit takes: ``gpus``, for auto at most as many as are there; 0 means the CPU.

    Raises NoAccelerator where ``gpu`` was requested and there are fewer, SpecError for a number below one.
    """
    if gpus < 1:
        raise SpecError(f"--gpus {gpus} is below 1; for the CPU write --accelerator cpu")
    if accelerator == "gpu" and found < gpus:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "not set")
        built = "was" if tf.test.is_built_with_cuda() else "was not"
        raise NoAccelerator(
            f"looked for {gpus} GPU{'s' * (gpus > 1)} and found {found}: CUDA_VISIBLE_DEVICES is {visible}, "
            f"and this TensorFlow {built} built with CUDA; look with: atb doctor"
        )
    return 0 if accelerator == "cpu" else min(gpus, found)
