"""How one machine is shared out among trainings: cores, and gpus where there are any.

A training on the CPU takes one thread, whatever is free, so that it learns the same wherever it runs.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from atb.machine import usable_cpus

PER_GPU = 4
"""Trainings that share a gpu unless --max-parallel says otherwise; each holds a CUDA context and needs a core."""
_VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class MachineSlots:
    """How many trainings at a time, CPU threads for each, and the gpus that they are spread over."""

    parallel: int
    threads: int
    gpus: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """``2 at a time with 1 thread each``."""
        threads = f"{self.threads} thread{'s' * (self.threads > 1)}"
        count = "one at a time" if self.parallel == 1 else f"{self.parallel} at a time"
        gpus = f" on {len(self.gpus)} GPU{'s' * (len(self.gpus) > 1)}" if self.gpus else ""
        return f"{count}{gpus} with {threads}{' each' * (self.parallel > 1)}"

    def environment(self, busy: Mapping[str, int]) -> dict[str, str]:
        """The environment of a new training: the gpu with the fewest trainings. ``busy`` counts those of each gpu."""
        if not self.gpus:
            return {}
        return {_VISIBLE: min(self.gpus, key=lambda gpu: busy.get(gpu, 0))}

    def gpu_of(self, environment: Mapping[str, str]) -> str:
        """The gpu in such an environment; empty where there is none."""
        return environment.get(_VISIBLE, "")


def share_slots(
    jobs: int, requested: int | None = None, *, cores: int | None = None, gpus: tuple[str, ...] = ()
) -> MachineSlots:
    """Slots for ``jobs`` jobs; ``requested`` is how many at a time, ``cores`` those this process may use."""
    cores = cores or usable_cpus()
    limit = requested or (min(cores, PER_GPU * len(gpus)) if gpus else cores)
    parallel = max(1, min(limit, jobs))
    return MachineSlots(parallel, max(1, cores // parallel) if gpus else 1, gpus)


def usable_gpus(environment: Mapping[str, str] = os.environ, devices: Path = Path("/dev")) -> tuple[str, ...]:
    """The NVIDIA gpus a training may use, as CUDA_VISIBLE_DEVICES names them; those it names now, if it does."""
    if (named := environment.get(_VISIBLE)) is not None:
        return tuple(part.strip() for part in named.split(",") if part.strip() not in ("", "-1", "void", "none"))
    numbers = (re.fullmatch(r"nvidia(\d+)", path.name) for path in devices.glob("nvidia*"))
    return tuple(sorted((match[1] for match in numbers if match), key=int))
