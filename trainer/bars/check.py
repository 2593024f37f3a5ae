"""The checks at the door: what is wrong with raw rows, counted; and what is left when it is gone."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from atb.contract import timeframe as tf
from atb.errors import DataError
from trainer.bars.frame import CLOSE, HIGH, LOW, OPEN, VOLUME, Bars, segment_starts

MIN_COMPLETE = 0.99
"""Below this share of the expected bars a series is not used."""
JUMP = 0.5
"""A close that differs from the one before by more than this share is counted."""

_INFINITE = 1e30
"""What no market has, and float32 can still hold."""
_FINDINGS = (
    "unsorted", "off_grid", "unclosed", "non_finite", "non_positive", "inconsistent", "duplicate",
    "zero_volume", "jumps",
)  # fmt: skip


@dataclass(frozen=True)
class BarsReport:
    """What was found. Rows counted from ``off_grid`` to ``duplicate`` were left out, the others kept, in order.

    ``expected``: bars between the window's start, or the first bar where that is later, and the cut. ``listed_ms``:
    that first bar, where it is later.
    """

    symbol: str
    timeframe: str
    start_ms: int
    as_of_ms: int
    received: int
    kept: int
    expected: int
    missing: int
    gaps: int
    longest_gap: int
    listed_ms: int | None
    last_ms: int | None
    unsorted: int = 0
    off_grid: int = 0
    unclosed: int = 0
    non_finite: int = 0
    non_positive: int = 0
    inconsistent: int = 0
    duplicate: int = 0
    zero_volume: int = 0
    jumps: int = 0

    @property
    def complete(self) -> float:
        """The share of the expected bars that is there."""
        return self.kept / self.expected if self.expected else 0.0

    def to_dict(self) -> dict[str, Any]:
        """For the result: counts and instants, with the share complete."""
        return {**dataclasses.asdict(self), "complete": round(self.complete, 6)}

    def describe_gaps(self) -> str:
        """``3 gaps up to 4 bars long``."""
        return f"{self.gaps} gap{'s' if self.gaps != 1 else ''} up to {self.longest_gap} bars long"

    def summary(self) -> str:
        """One line for the log."""
        found = [
            f"{getattr(self, name)} {name.replace('_', ' ')}" for name in ("missing", *_FINDINGS) if getattr(self, name)
        ]
        if self.gaps:
            found.insert(0, self.describe_gaps())
        return (
            f"{self.symbol} {self.timeframe}: {self.kept:,} of {self.expected:,} bars ({self.complete:.2%}); "
            f"{', '.join(found) or 'nothing wrong'}"
        )


def check_bars(raw: Bars, start_ms: int, as_of_ms: int) -> tuple[Bars, BarsReport]:
    """Rows of ``[start_ms, as_of_ms)`` that are sorted, unique, on the grid, closed, finite, positive and consistent.

    Of rows with one open time the last is kept. A row that fails is left out, so a gap is where it was.
    """
    counts: dict[str, int] = {}
    bars = raw.take((raw.time >= start_ms) & (raw.time < as_of_ms))
    received = len(bars)

    counts["unsorted"] = int(np.count_nonzero(np.diff(bars.time) < 0))
    if counts["unsorted"]:
        bars = bars.take(np.argsort(bars.time, kind="stable"))
    step, offset = bars.step_ms, tf.grid_offset_ms(bars.timeframe)
    bars = _leave_out(bars, (bars.time - offset) % step != 0, "off_grid", counts)
    bars = _leave_out(bars, bars.time + step > as_of_ms, "unclosed", counts)
    bars = _leave_out(bars, ~(np.abs(bars.values) < _INFINITE).all(axis=1), "non_finite", counts)
    prices, volume = bars.values[:, :VOLUME], bars.values[:, VOLUME]
    bars = _leave_out(bars, (prices <= 0).any(axis=1) | (volume < 0), "non_positive", counts)
    top, bottom = bars.values[:, HIGH], bars.values[:, LOW]
    body = bars.values[:, [OPEN, CLOSE]]
    bars = _leave_out(bars, (top < body.max(axis=1)) | (bottom > body.min(axis=1)), "inconsistent", counts)
    repeated = np.zeros(len(bars), np.bool_)
    repeated[:-1] = np.diff(bars.time) == 0
    bars = _leave_out(bars, repeated, "duplicate", counts)

    counts["zero_volume"] = int(np.count_nonzero(bars.values[:, VOLUME] == 0))
    counts["jumps"] = int(np.count_nonzero(np.abs(np.diff(bars.close)) > JUMP * bars.close[:-1]))
    steps = np.diff(bars.time) // step
    first = max(start_ms, int(bars.time[0])) if len(bars) else start_ms
    expected = max(0, (as_of_ms - first) // step)
    report = BarsReport(
        symbol=bars.symbol,
        timeframe=bars.timeframe,
        start_ms=start_ms,
        as_of_ms=as_of_ms,
        received=received,
        kept=len(bars),
        expected=expected,
        missing=expected - len(bars),
        gaps=max(0, len(segment_starts(bars)) - 1),
        longest_gap=int(steps.max(initial=1)) - 1,
        listed_ms=int(bars.time[0]) if len(bars) and bars.time[0] > start_ms else None,
        last_ms=int(bars.time[-1]) if len(bars) else None,
        **counts,
    )
    return bars, report


def validate_bars(report: BarsReport, min_rows: int) -> None:
    """Raise DataError unless there are ``min_rows`` bars and 99 % of those expected."""
    name = f"{report.symbol} {report.timeframe}"
    if report.kept < min_rows:
        raise DataError(
            f"{name}: {report.kept:,} bars of the {min_rows:,} that this preset needs; "
            f"widen the window with --days, or choose a smaller preset"
        )
    if report.complete < MIN_COMPLETE:
        end_ms = (report.last_ms or 0) + tf.to_ms(report.timeframe)
        if end_ms < report.as_of_ms - report.longest_gap * tf.to_ms(report.timeframe):
            remedy = f"they end at {tf.from_epoch_ms(end_ms):%Y-%m-%dT%H:%MZ}: choose an --as-of that is not later"
        else:
            remedy = f"{report.describe_gaps()}: leave them out with --start or --as-of"
        raise DataError(
            f"{name}: {report.kept:,} of {report.expected:,} bars ({report.complete:.1%}) and {MIN_COMPLETE:.0%} are "
            f"needed; {remedy}; look with: atb data check {report.symbol}"
        )


def fill_gaps(bars: Bars) -> tuple[Bars, int]:
    """The bars with every gap filled by flat bars at the close before it, without volume; and how many those are.

    Extra columns keep their last value.
    """
    if len(bars) < 2:
        return bars, 0
    steps = (bars.time - bars.time[0]) // bars.step_ms
    grid = np.arange(int(steps[-1]) + 1)
    source = np.searchsorted(steps, grid, side="right") - 1
    added = steps[source] != grid
    values = bars.values[source]
    values[added, :VOLUME] = values[added, CLOSE][:, None]
    values[added, VOLUME] = 0.0
    filled = replace(
        bars,
        time=bars.time[0] + grid.astype(np.int64) * bars.step_ms,
        values=values,
        extra={name: column[source] for name, column in bars.extra.items()},
    )
    return filled, int(np.count_nonzero(added))


def _leave_out(bars: Bars, bad: npt.NDArray[np.bool_] | np.bool_, name: str, counts: dict[str, int]) -> Bars:
    counts[name] = int(np.count_nonzero(bad))
    return bars.take(np.logical_not(bad)) if counts[name] else bars
