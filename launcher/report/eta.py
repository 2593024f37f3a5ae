"""How long a run will still take: learned from how trainings of its presets ended, never from the bound of epochs."""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from atb.documents.manifest import State

ENDED: tuple[State, ...] = ("done", "skipped", "failed", "interrupted")
BAR = 20
"""Characters of the bar."""


class Timed(Protocol):
    """What is needed of a row of the live table. ``eta_seconds`` is what the epochs up to the bound would take."""

    @property
    def job(self) -> str: ...
    @property
    def preset(self) -> str: ...
    @property
    def state(self) -> State: ...
    @property
    def epoch(self) -> int: ...
    @property
    def epochs(self) -> int: ...
    @property
    def eta_seconds(self) -> float | None: ...


@dataclass(frozen=True)
class Usual:
    """How many seconds and epochs a training of a preset usually takes."""

    seconds: float
    epochs: float


class Watch:
    """Sees a run go on, and learns from its own jobs as they end; what earlier runs took counts until then."""

    def __init__(self) -> None:
        self.usual: Mapping[str, Usual] = {}
        self._began: dict[str, float] = {}
        self._took: dict[str, float] = {}
        self._epochs: dict[str, int] = {}
        self._most = 0

    def see(self, rows: Sequence[Timed], now: float) -> None:
        """Take in the rows as they are at a time, by any clock that does not go back."""
        self._most = max(self._most, sum(row.state == "running" for row in rows))
        for row in rows:
            if row.state == "running":
                self._began.setdefault(row.job, now)
                self._epochs[row.job] = max(row.epoch, self._epochs.get(row.job, 0))
            elif row.state == "pending":
                self._began.pop(row.job, None)  # it begins again
            elif row.state == "done" and row.job in self._began and row.job not in self._took:
                self._took[row.job] = now - self._began[row.job]

    def job_eta(self, row: Timed, now: float) -> float | None:
        """Seconds that a job will usually still take; None where nothing was learned, or it is past what is usual."""
        return self._left(row, now, self._learn([row]))

    def run_eta(self, rows: Sequence[Timed], now: float) -> float | None:
        """Seconds until the run's end; None while nothing is known of one of its presets."""
        learned = self._learn(rows)
        left = []
        for row in rows:
            if row.state in ENDED:
                continue
            usual = learned.get(row.preset)
            if usual is None:
                return None
            seconds = self._left(row, now, learned) if row.state == "running" else usual.seconds
            left.append(seconds if seconds is not None else 0.1 * usual.seconds)
        if not left:
            return None
        return max(max(left), sum(left) / max(1, self._most))

    def _left(self, row: Timed, now: float, learned: Mapping[str, Usual]) -> float | None:
        usual = learned.get(row.preset)
        if usual is None:
            return None
        passed = now - self._began.get(row.job, now)
        if row.epoch and row.eta_seconds is not None and row.epochs > row.epoch:
            each = row.eta_seconds / (row.epochs - row.epoch)
            if row.epoch >= usual.epochs:
                return None
            return each * (min(usual.epochs, row.epochs) - row.epoch)
        return usual.seconds - passed if passed < usual.seconds else None

    def _learn(self, rows: Sequence[Timed]) -> dict[str, Usual]:
        """The usual ends of presets: those of this run's own jobs where there are some."""
        own: dict[str, list[str]] = defaultdict(list)
        for row in rows:
            if row.job in self._took:
                own[row.preset].append(row.job)
        learned = dict(self.usual)
        for preset, jobs in own.items():
            epochs = statistics.median(self._epochs.get(job, 0) for job in jobs)
            learned[preset] = Usual(statistics.median(self._took[job] for job in jobs), epochs or math.inf)
        return learned


def bar_line(states: Sequence[State], eta: float | None) -> str:
    """``████████░░░░░░░░░░░░ 12 of 30, about 4m left``."""
    counts = Counter(states)
    ended = sum(counts[state] for state in ENDED)
    full = BAR * ended // len(states) if states else BAR
    words = f"{'█' * full}{'░' * (BAR - full)} {ended:,} of {len(states):,}"
    return words if eta is None else f"{words}, about {format_eta(eta)} left"


def format_eta(seconds: float | None) -> str:
    """``45s``, ``12m``, ``3h05``; empty where unknown."""
    if seconds is None or seconds < 0:
        return ""
    if seconds < 90:
        return f"{seconds:.0f}s"
    minutes = round(seconds / 60)
    return f"{minutes}m" if minutes < 90 else f"{minutes // 60}h{minutes % 60:02}"
