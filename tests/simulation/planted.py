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


def forget_spot(state: RunState, now: float) -> list[Action]:
    """Decides as if the try before had not been moved to other nodes than spot nodes."""
    return [_on_spot(action) if _moved(state, action) else action for action in decide(state, now)]


def _moved(state: RunState, action: Action) -> bool:
    before = state.latest(action.job) if isinstance(action, Create) else None
    return before is not None and before.on_demand


def _on_spot(action: Action) -> Action:
    assert isinstance(action, Create)
    return replace(action, attempt=replace(action.attempt, on_demand=False))


def forget_most_memory(state: RunState, now: float) -> list[Action]:
    """Decides as if there were no bound on memory."""
    options = state.options
    state.options = options.model_copy(update={"max_memory": "64Gi"})
    try:
        return decide(state, now)
    finally:
        state.options = options


PLANTED = {
    "a store that ignores If-None-Match": Planted(ignores_if_none_match=True),
    "a write of one's own that is taken for a rival's": Planted(takes_own_write_for_a_rival=True),
    "a decision that forgets cancel": Planted(rules=forget_cancel),
    "a store that ignores If-Match": Planted(ignores_if_match=True),
    "a retry that returns to spot nodes": Planted(rules=forget_spot),
    "a retry with more memory than there may be": Planted(rules=forget_most_memory),
}


def find(fault: str, jobs: int, most: int) -> str:
    """The first seed that finds a fault and what it says, in one line."""
    for seed in range(most):
        if violations := Night(seed, jobs, PLANTED[fault]).run():
            return f"{fault}: found by seed {seed}: {violations[0]}"
    return f"{fault}: not found by {most} seeds"
