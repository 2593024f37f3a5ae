"""Work that takes long is not silent."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from atb.options.say import say_if_slow
from atb.threads import SystemThreads


class Waits:
    """A flag that is set after so many waits, and notes how long each was."""

    def __init__(self, count: int) -> None:
        self._left, self.seconds = count, list[float]()

    def set(self) -> None:
        self._left = 0

    def is_set(self) -> bool:
        return self._left == 0

    def wait(self, timeout: float) -> bool:
        self.seconds.append(timeout)
        self._left -= 1
        return self._left < 0


class Slow(SystemThreads):
    """Starts nothing beside: the watch goes through all its waits before the work begins."""

    def __init__(self, count: int) -> None:
        self.waits = Waits(count)

    def start(self, work: Callable[[], None], name: str) -> None:
        work()

    def flag(self) -> Waits:
        return self.waits


@pytest.mark.parametrize(
    ("waits", "said"),
    [(0, []), (1, ["reading …"]), (3, ["reading …", "reading: 12 s so far …", "reading: 22 s so far …"])],
)
def test_work_says_that_it_goes_on_only_if_it_takes_more_than_a_moment(waits: int, said: list[str]) -> None:
    lines: list[str] = []
    threads = Slow(waits)
    with say_if_slow("reading", lines.append, threads=threads):
        pass
    assert lines == said
    assert threads.waits.seconds == [2.0, *[10.0] * waits]
    assert threads.waits.is_set()
