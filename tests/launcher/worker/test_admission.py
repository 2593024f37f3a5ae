from __future__ import annotations

import pytest

from launcher.worker.admission import Candidate, Occupant, admit, find_outgrown, reserve

GIB = 1 << 30
A, B, ALONE, HUGE = Candidate("a", 1), Candidate("b", 1, need=3 * GIB), Candidate("c", 2, alone=True), Candidate(
    "d", 1, need=99 * GIB
)  # fmt: skip


@pytest.mark.parametrize(
    ("candidates", "running", "slots", "memory", "chosen"),
    [
        pytest.param([A, B], [], 2, None, "a", id="the first of the plan"),
        pytest.param([], [], 2, None, None, id="nothing is left"),
        pytest.param([A], [Occupant("x"), Occupant("y")], 2, None, None, id="all slots are taken"),
        pytest.param([A], [Occupant("x", reserved=4 * GIB)], 2, 8 * GIB, "a", id="an unknown need is a slot's share"),
        pytest.param([A], [Occupant("x", reserved=5 * GIB)], 2, 8 * GIB, None, id="which is not free"),
        pytest.param([A, B], [Occupant("x", reserved=5 * GIB)], 2, 8 * GIB, "b", id="a smaller one goes first"),
        pytest.param([A], [Occupant("x", reserved=1, used=5 * GIB)], 2, 8 * GIB, None, id="more is used than kept"),
        pytest.param([ALONE], [Occupant("x")], 2, None, None, id="waits until it is alone"),
        pytest.param([ALONE, A], [Occupant("x")], 2, None, "a", id="others go on meanwhile"),
        pytest.param([ALONE, A], [], 2, 8 * GIB, "c", id="is alone"),
        pytest.param([A], [Occupant("x", alone=True)], 2, None, None, id="nothing beside one that is alone"),
        pytest.param([HUGE], [], 2, 8 * GIB, "d", id="more than there is: let it try"),
        pytest.param([HUGE], [Occupant("x")], 2, 8 * GIB, "d", id="beside one that needs nothing"),
        pytest.param([HUGE], [Occupant("x", used=1)], 2, 8 * GIB, None, id="and beside nothing else"),
    ],
)
def test_the_first_that_has_room_is_admitted(
    candidates: list[Candidate], running: list[Occupant], slots: int, memory: int | None, chosen: str | None
) -> None:
    assert admit(candidates, running, slots, memory) == chosen


def test_what_is_kept_is_the_need_a_slots_share_or_all_of_it() -> None:
    assert [reserve(each, 4, 8 * GIB) for each in (A, B, ALONE, HUGE)] == [2 * GIB, 3 * GIB, 8 * GIB, 8 * GIB]
    assert reserve(B, 4, None) == 0


def test_the_one_furthest_above_what_is_kept_for_it_is_ended_before_the_memory_is_full() -> None:
    large = Occupant("large", reserved=5 * GIB, used=5 * GIB)
    grown = Occupant("grown", reserved=1 * GIB, used=2 * GIB)
    assert find_outgrown([large, grown], 7 * GIB, 8 * GIB) is None
    assert find_outgrown([large, grown], int(7.5 * GIB), 8 * GIB) == grown
    assert find_outgrown([], 8 * GIB, 8 * GIB) is None
