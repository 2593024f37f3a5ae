"""The memory of a simulated worker: what its trainings hold, and what each of them comes to need."""

from __future__ import annotations

import random
from dataclasses import dataclass

LIMIT, OWN = 1000, 80
"""Where the kernel ends the container, and what the worker itself holds, in MiB."""
MODEST, FITTING, TOO_LARGE = (100, 140), (600, 800), (1100, 1300)
"""What trainings come to hold, in MiB: little; more than beside others, and yet all right alone; more than there is."""
STEP, STEP_SECONDS = 20, 1.5
"""How fast one grows that does so step by step: the worker sees it before the kernel does."""


@dataclass(frozen=True)
class Appetite:
    """The most that a training comes to hold, in MiB, step by step or at once."""

    most: int = MODEST[0]
    sudden: bool = False

    @property
    def modest(self) -> bool:
        """Whether it gets on with others of its kind."""
        return self.most <= MODEST[1]

    @property
    def fits(self) -> bool:
        """Whether a worker has enough for it alone."""
        return self.most <= FITTING[1]


def draw_appetite(chance: random.Random) -> Appetite:
    """Most are modest."""
    least, most = chance.choices([MODEST, FITTING, TOO_LARGE], [70, 20, 10])[0]
    return Appetite(chance.randint(least, most), chance.random() < 0.3)


class Container:
    """A worker's memory, as ``launcher.worker.memory_meter.MemoryMeter`` has it: in bytes."""

    def __init__(self, limit: int | None) -> None:
        self.limit = None if limit is None else limit << 20
        self.held: dict[int, int] = {}
        """By process, in MiB."""

    @property
    def full(self) -> bool:
        """Whether the kernel ends something."""
        return self.limit is not None and self.used() > self.limit

    def used(self) -> int:
        return (OWN + sum(self.held.values())) << 20

    def of(self, process: int) -> int:
        return self.held.get(process, 0) << 20
