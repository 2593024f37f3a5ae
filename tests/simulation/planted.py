"""Faults planted on purpose, which the invariants must find, so that the simulator can't go blind."""

from __future__ import annotations

from dataclasses import replace

from launcher.kubernetes.control.actions import Action, Create
from launcher.kubernetes.control.decide import decide
from launcher.kubernetes.control.state import RunState
from tests.simulation.night import Night, Planted


def forget_cancel(state: RunState, now: float) -> list[Action]:
    """Decides as if nobody could cancel a run."""
    cancelled, state.cancelled = state.cancelled, False
    try:
        decided = decide(state, now)
    finally:
        state.cancelled = cancelled
    return [replace(action, again=False) if isinstance(action, Create) else action for action in decided]


PLANTED = {
    "a store that ignores If-None-Match": Planted(ignores_if_none_match=True),
    "a write of one's own that is taken for a rival's": Planted(takes_own_write_for_a_rival=True),
    "a decision that forgets cancel": Planted(rules=forget_cancel),
}


def find(fault: str, jobs: int, most: int) -> str:
    """The first seed that finds a fault and what it says, in one line."""
    for seed in range(most):
        if violations := Night(seed, jobs, PLANTED[fault]).run():
            return f"{fault}: found by seed {seed}: {violations[0]}"
    return f"{fault}: not found by {most} seeds"
