"""How long a transient failure is retried: one policy for the object store and for exchanges."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from atb.clock import Clock, SystemClock
from atb.errors import Unavailable

_T = TypeVar("_T")

LAST_SECONDS = 5.0
"""How long a call that begins after the stop signal is retried: long enough for one lost answer."""
QUIET_SECONDS = 2.0
"""A shorter disturbance is not reported."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 15.0
_JITTER = random.Random()  # our own: waiting must not move what somebody seeded
_LOOK_SECONDS = 0.1
"""Seconds between two checks for a stop signal."""


class Interrupt:
    """How many stop signals this process has had. A plain number: a signal's handler must never wait for a lock."""

    def __init__(self) -> None:
        self.count = 0

    def stop(self) -> None:
        """End every current wait, in every thread."""
        self.count += 1


INTERRUPT = Interrupt()
"""This process' own: handlers of SIGTERM and SIGINT call its ``stop``."""


class WaitingClock(SystemClock):
    """This machine's clock, whose ``sleep`` ends early on a stop signal."""

    def __init__(self, interrupt: Interrupt) -> None:
        self._interrupt = interrupt

    def sleep(self, seconds: float) -> None:
        signals_before, end = self._interrupt.count, self.monotonic() + seconds
        while self._interrupt.count == signals_before and (left := end - self.monotonic()) > 0:
            super().sleep(min(left, _LOOK_SECONDS))


WAITING_CLOCK = WaitingClock(INTERRUPT)


@dataclass(frozen=True)
class Patience:
    """Retries a call while its failures are transient, for at most ``seconds`` from the first one."""

    seconds: float
    clock: Clock = WAITING_CLOCK
    interrupt: Interrupt = INTERRUPT
    jitter: random.Random = _JITTER

    def persist(
        self, attempt: Callable[[], _T], say: Callable[[str], None] = lambda words: None, name: str = "it"
    ) -> _T:
        """Call ``attempt`` until it succeeds and return its result. ``say`` is called with the reason for a wait of
        more than a moment, and once ``name`` answers again.

        Raises the last failure when time is up, when it is not transient, or at once on a stop signal.
        """
        signals_before, now = self.interrupt.count, self.clock.monotonic
        seconds = min(self.seconds, LAST_SECONDS) if signals_before else self.seconds
        began: float | None = None
        announced, pause = False, _FIRST_PAUSE
        while True:
            try:
                value = attempt()
            except Unavailable as error:
                began = now() if began is None else began
                end = began + min(seconds, error.retry_seconds)
                wait = pause * self.jitter.uniform(0.75, 1.25) if error.retry_after is None else error.retry_after
                wait = min(wait, end - now())  # one last try when time is up
                if wait < 0 or now() >= end or self.interrupt.count != signals_before:
                    if now() - began > QUIET_SECONDS:
                        error.args = (f"{error}; retried for {spell_seconds(now() - began)}",)
                    raise
                if now() + wait - began > QUIET_SECONDS:
                    announced = True
                    say(f"{error}; retrying for up to {spell_seconds(end - now())}")
                self.clock.sleep(wait)
                if self.interrupt.count != signals_before:
                    raise
                pause = min(pause * 2, _LONGEST_PAUSE)
            else:
                if announced and began is not None:
                    say(f"{name} answers again after {spell_seconds(now() - began)}")
                return value


def spell_seconds(seconds: float) -> str:
    """``40 s``, ``12 min``."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
