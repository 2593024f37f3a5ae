"""The short form: some nights with fixed seeds, and whether the simulator still sees."""

from __future__ import annotations

import pytest

from launcher.kubernetes.control.actions import Action
from launcher.kubernetes.control.decide import decide
from launcher.kubernetes.control.state import RunState
from tests.simulation.kernel import Process
from tests.simulation.night import Night, Planted
from tests.simulation.planted import PLANTED
from tests.simulation.shift import CrowdedBoard, HastyBoard, Shift
from tests.simulation.small import ACTORS, WORKERS, list_faults, try_fault


@pytest.mark.parametrize("seeds", [range(start, start + 10) for start in range(0, 40, 10)], ids=str)
def test_every_promise_holds_in_these_nights(seeds: range) -> None:
    for seed in seeds:
        night = Night(seed, jobs=3)
        violations = night.run()
        again = f"see it again: python -m tests.simulation --jobs 3 --seeds {seed} --log"
        assert violations == [], "\n".join([*violations, again])


def test_the_same_seed_has_the_same_history_to_the_byte() -> None:
    first, second = Night(7, jobs=4), Night(7, jobs=4)
    first.run()
    second.run()
    assert len(first.kernel.history) > 50
    assert first.kernel.history == second.kernel.history


def forget_quiet(state: RunState, now: float) -> list[Action]:
    """Looks at every job each time."""
    state.awake.update(job for job in state.planned if job not in state.line)
    return decide(state, now)


def test_jobs_that_are_passed_over_are_those_about_which_nothing_would_be_done() -> None:
    for seed in range(40, 44):
        usual, thorough = Night(seed, jobs=3), Night(seed, jobs=3, planted=Planted(rules=forget_quiet))
        usual.run()
        thorough.run()
        assert usual.kernel.history == thorough.kernel.history


def count_writes(name: str) -> int:
    """How often a process of this name writes where nothing goes wrong."""
    seen = [0]

    def watch(process: Process, number: int, key: str) -> str:
        if process.name == name:
            seen[0] = number
        return ""

    assert Night(1, jobs=2, fate=watch).run() == []
    return seen[0]


@pytest.mark.parametrize("fate", ["before", "after", "lost"])
@pytest.mark.parametrize("name", ["pod-1", "pod-2"])
def test_a_small_world_survives_a_kill_and_a_lost_answer_at_every_write(name: str, fate: str) -> None:
    """Two trainings and their launcher: every one of their writes to the store."""
    writes = count_writes(name)
    assert writes > 0
    for step in range(1, writes + 1):

        def strike(process: Process, number: int, key: str, step: int = step) -> str:
            return fate if (process.name, number) == (name, step) else ""

        assert Night(1, jobs=2, fate=strike).run() == [], f"{fate} write {step} of {name}"


@pytest.mark.parametrize("actor", [*WORKERS, *ACTORS])
def test_small_worlds_survive_a_kill_at_any_step_and_a_lost_answer_at_any_write(actor: str) -> None:
    """Two workers and two jobs; two collections, two demotions and a rollback. Some of the pairs of faults: all of them
    by ``python -m tests.simulation --small 1``."""
    faults = [fault for fault in list_faults(PRIME) if fault[0] == actor]
    assert len(faults) > 8
    assert [violation for fault in faults for violation in try_fault(fault)] == []


PRIME = 997
"""Of so many pairs one is tried in the short form: the steps and writes go round at different speeds."""


FIRST = {
    "a store that ignores If-None-Match": 0,
    "a write of one's own that is taken for a rival's": 25,
    "a decision that forgets cancel": 3,
    "a store that ignores If-Match": 0,
    "a retry that returns to spot nodes": 139,
    "a retry with more memory than there may be": 176,
}
"""Where the search begins, to be short while the code stays as it is: what ``--planted`` printed, searching from 0."""


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found(fault: str) -> None:
    for seed in range(FIRST[fault], FIRST[fault] + 1000):
        if Night(seed, jobs=3, planted=PLANTED[fault]).run():
            return
    raise AssertionError("the simulator has gone blind")


@pytest.mark.parametrize("seeds", [range(15), range(15, 30)], ids=str)
def test_workers_do_every_job_once_and_take_none_from_one_that_lives(seeds: range) -> None:
    for seed in seeds:
        assert Shift(seed).run() == [], f"Shift({seed})"


def test_a_lease_by_a_machines_own_clock_is_found() -> None:
    assert any(Shift(seed, board=HastyBoard).run() for seed in range(1000))


@pytest.mark.parametrize("seeds", [range(15), range(15, 30)], ids=str)
def test_a_training_that_outgrows_its_worker_is_named_and_costs_every_other_one_attempt_at_most(seeds: range) -> None:
    for seed in seeds:
        assert Shift(seed, jobs=5, workers=2, memory=True).run() == [], f"Shift({seed})"


def test_a_worker_that_tries_what_outgrew_its_memory_beside_others_is_found() -> None:
    assert any(Shift(seed, jobs=5, workers=2, board=CrowdedBoard, memory=True).run() for seed in range(1000))


def test_a_repair_amid_a_run_takes_nothing_from_the_living() -> None:
    for seed in range(15):
        assert Shift(seed, repairs=True).run() == [], f"Shift({seed})"
