"""Small worlds, in which every fault is tried and none is drawn: two workers, and two promotions with what disturbs
them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache, partial

from tests.simulation.kernel import Process
from tests.simulation.night import Night
from tests.simulation.registry import left_before
from tests.simulation.shift import Shift

WORKERS = ("worker-0", "worker-1")
ACTORS = ("collect-0", "collect-1", "demote-0", "demote-1", "rollback")
JOBS = 3


class FinishedRun(Exception):
    """The run has ended, and nobody has collected it."""


class Evening(Night):
    """A night without faults, up to its morning."""

    def spend_the_morning(self) -> None:
        raise FinishedRun


class LosesOne:
    """Loses the answer to one write, and counts all of them."""

    def __init__(self, lost: int) -> None:
        self._lost, self.writes = lost, 0

    def __call__(self, process: Process, number: int, key: str) -> str:
        self.writes += 1
        return "lost" if self.writes == self._lost else ""


@lru_cache
def finished_run() -> dict[str, bytes]:
    """What a run without faults leaves in the store."""
    evening = Evening(1, jobs=JOBS, fate=LosesOne(0))
    try:
        evening.run()
    except FinishedRun:
        pass
    return {key: data for key, (data, _, _, _) in evening.store.objects.items()}


def live_morning(killed: str, step: int, lost: int = 0) -> tuple[list[str], int, int]:
    """Two collections, two demotions and a rollback at once: one of them is killed at a step, and the answer to one
    write is lost. The violations, how many steps it took and how many writes."""
    lose = LosesOne(lost)
    night = Night(1, jobs=JOBS, fate=lose, moves=True)
    for key, data in {**left_before(JOBS), **finished_run()}.items():
        night.store.put(key, data)
    night.store.fate_of = lose

    def kill() -> None:
        for process in night.collectors:
            if process.name == killed:
                process.kill()

    night.kernel.at_step[step] = kill
    try:
        night.spend_the_morning()
    finally:
        night.kernel.close()
    return [*night.invariants.violations, *night.kernel.crashes], night.kernel.steps, lose.writes


def live_shift(killed: str, step: int, lost: int = 0) -> tuple[list[str], int, int]:
    """Two workers and two jobs: one worker is killed at a step and started again later, and the answer to one write is
    lost. The violations, how many steps it took and how many writes."""
    lose = LosesOne(lost)
    shift = Shift(1, jobs=2, workers=2, drawn=False)
    shift.store.fate_of = lose
    shift.kernel.at_step[step] = partial(shift.replace_worker, WORKERS.index(killed))
    return shift.run(), shift.kernel.steps, lose.writes


Fault = tuple[str, int, int]
"""Who is killed, before which step, and which answer is lost: 0 for none."""


def list_faults(every: int = 1) -> Iterator[Fault]:
    """All faults of the small worlds: each actor killed before each step, and with it each answer lost, or none.

    With ``every`` above 1, one in so many: of all pairs those whose numbers add up to a multiple of it.
    """
    for live, actors in ((live_shift, WORKERS), (live_morning, ACTORS)):
        _, steps, writes = live(actors[0], -1)
        for actor in actors:
            pairs = ((step, lost) for step in range(steps + 1) for lost in range(writes + 1))
            yield from ((actor, step, lost) for step, lost in pairs if (step * (writes + 1) + lost) % every == 0)


def try_fault(fault: Fault) -> list[str]:
    """The violations in a small world with one fault, named."""
    live = live_shift if fault[0] in WORKERS else live_morning
    return [f"{fault}: {each}" for each in live(*fault)[0]]
