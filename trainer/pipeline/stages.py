"""The published stage table: how long each stage of a job took."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from atb.documents.result import TOTAL_STAGE, StageTime

STAGES = ("data loading", "features", "dataset", "training", "evaluation", "saving")


class StageClock:
    """Adds up seconds by stage. ``current`` names the stage that runs, or ran last; ``announce`` is called with each
    stage that is new."""

    def __init__(self, announce: Callable[[str], None] = lambda stage: None) -> None:
        self._announce = announce
        self._seconds = dict.fromkeys(STAGES, 0.0)
        self._began = time.monotonic()
        self.current = "start"

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count what runs inside to a stage."""
        if name != self.current:
            self.current = name
            self._announce(name)
        began = time.monotonic()
        try:
            yield
        finally:
            self._seconds[name] += time.monotonic() - began

    def table(self) -> tuple[StageTime, ...]:
        """Every stage and the total so far."""
        total = StageTime(name=TOTAL_STAGE, seconds=time.monotonic() - self._began)
        return (*(StageTime(name=name, seconds=seconds) for name, seconds in self._seconds.items()), total)


def format_stages(stages: tuple[StageTime, ...]) -> list[str]:
    """The table as lines: stage, seconds, share of the total."""
    total = max(stages[-1].seconds, 1e-9)
    head = f"{'stage':<14}{'seconds':>10}{'share':>8}"
    return [head, *(f"{row.name:<14}{row.seconds:>10.2f}{row.seconds / total:>8.1%}" for row in stages)]
