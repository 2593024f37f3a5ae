"""Input validation: counts what is wrong with raw rows, and keeps the rest."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from atb.contract import timeframe as tf
from atb.errors import DataError
from trainer.bars.breaks import MOST_BREAKS, find_breaks, find_new_level
from trainer.bars.frame import CLOSE, HIGH, LOW, OPEN, VOLUME, Bars, segment_starts
from trainer.bars.grid import MOST_OFF_GRID, explain_shift, explain_timeframe, find_shift, find_spacing

MIN_COMPLETE = 0.99
"""Below this share of the expected bars a series is not used."""
MOST_CONFLICTING = 0.01
"""If a larger share of rows repeat a time with other values, it is not known which are meant."""
JUMP = 0.5
"""A close that differs from the one before by more than this share is counted."""

_INFINITE = 1e30
"""What no market has, and float32 can still hold."""
_FINDINGS = (
    "unsorted", "off_grid", "unclosed", "non_finite", "non_positive", "inconsistent", "duplicate",
    "conflicting", "zero_volume", "jumps", "breaks",
)  # fmt: skip

_SPOILED = {
    "non_finite": "hold something that is not a finite number",
    "non_positive": "hold a price of 0 or less, or a volume below 0",
    "inconsistent": "have a high below, or a low above, their open or close",
}


@dataclass(frozen=True)
class BarsReport:
    """What was found. Rows counted from ``off_grid`` to ``conflicting`` were left out, the others kept, in order.

    ``expected``: bars between the window's start, or the listing where that is later, and the cut. ``listed_ms``: the
    first bar, where the window begins before it and there is none before the window. ``first_ms``: the first bar.
    ``conflicting``: rows that repeat a time with other values; which of them is meant can't be known.
    ``breaks``: bars that open far from the close before, with none missing between; ``break_ms``: the first of them
    that is the beginning of another level.
    ``spacing_ms``: the most common distance between rows, copies of the one before left out. ``shift_ms``: how far
    after the grid nearly all rows lie.
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
    first_ms: int | None = None
    spacing_ms: int | None = None
    shift_ms: int | None = None
    unsorted: int = 0
    off_grid: int = 0
    unclosed: int = 0
    non_finite: int = 0
    non_positive: int = 0
    inconsistent: int = 0
    duplicate: int = 0
    conflicting: int = 0
    zero_volume: int = 0
    jumps: int = 0
    breaks: int = 0
    break_ms: int | None = None

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
        if self.first_ms is not None and self.first_ms > self.start_ms:
            why = "in a gap" if self.listed_ms is None else "before the first bar"
            begins, first = (f"{tf.from_epoch_ms(at):%Y-%m-%dT%H:%MZ}" for at in (self.start_ms, self.first_ms))
            found.insert(0, f"the window begins at {begins} {why}, the bars at {first}")
        return (
            f"{self.symbol} {self.timeframe}: {self.kept:,} of {self.expected:,} bars ({self.complete:.2%}); "
            f"{', '.join(found) or 'nothing wrong'}"
        )


def check_bars(raw: Bars, start_ms: int, as_of_ms: int) -> tuple[Bars, BarsReport]:
    """Rows of ``[start_ms, as_of_ms)`` that are sorted, unique, on the grid, closed, finite, positive and consistent.

    Of equal rows with one open time one is kept, of differing ones none. A row that fails is left out, so a gap is
    where it was. Rows before ``start_ms`` only tell a gap at the start from a listing.
    """
    counts: dict[str, int] = {}
    began = bool((raw.time < start_ms).any())
    bars = raw.take(_between(raw, start_ms, as_of_ms))
    received = len(bars)

    counts["unsorted"] = int(np.count_nonzero(np.diff(bars.time) < 0))
    if counts["unsorted"]:
        bars = bars.take(np.argsort(bars.time, kind="stable"))
    step, offset = bars.step_ms, tf.grid_offset_ms(bars.timeframe)
    spacing, shift = find_spacing(bars), find_shift(bars.time, bars.timeframe)
    bars = _leave_out(bars, (bars.time - offset) % step != 0, "off_grid", counts)
    bars = _leave_out(bars, bars.time + step > as_of_ms, "unclosed", counts)
    high, low = bars.values.max(axis=1), bars.values.min(axis=1)  # NaN where one of them is
    bars = _leave_out(bars, ~((high < _INFINITE) & (low > -_INFINITE)), "non_finite", counts)
    prices, volume = bars.values[:, :VOLUME], bars.values[:, VOLUME]
    bars = _leave_out(bars, (prices <= 0).any(axis=1) | (volume < 0), "non_positive", counts)
    top, bottom = bars.values[:, HIGH], bars.values[:, LOW]
    body = bars.values[:, [OPEN, CLOSE]]
    bars = _leave_out(bars, (top < body.max(axis=1)) | (bottom > body.min(axis=1)), "inconsistent", counts)
    bars = _leave_out(bars, _conflicting(bars), "conflicting", counts)
    repeated = np.zeros(len(bars), np.bool_)
    repeated[1:] = np.diff(bars.time) == 0
    bars = _leave_out(bars, repeated, "duplicate", counts)

    counts["zero_volume"] = int(np.count_nonzero(bars.values[:, VOLUME] == 0))
    counts["jumps"] = int(np.count_nonzero(np.abs(np.diff(bars.close)) > JUMP * bars.close[:-1]))
    breaks = find_breaks(bars)
    counts["breaks"] = len(breaks)
    steps = np.diff(bars.time) // step
    first = max(start_ms, int(bars.time[0])) if len(bars) and not began else start_ms
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
        listed_ms=first if first > start_ms else None,
        last_ms=int(bars.time[-1]) if len(bars) else None,
        first_ms=int(bars.time[0]) if len(bars) else None,
        spacing_ms=spacing,
        shift_ms=shift,
        break_ms=find_new_level(bars, breaks),
        **counts,
    )
    return bars, report


def validate_bars(report: BarsReport, min_rows: int, look: str = "") -> None:
    """Raise DataError unless these are bars of the timeframe, ``min_rows`` of them and 99 % of those expected.

    ``look``: the command that shows more, for the message."""
    name = f"{report.symbol} {report.timeframe}"
    validate_series(report)
    validate_values(report)
    if report.kept < min_rows:
        wider = "widen the window with --days"
        if report.listed_ms is not None:
            first = f"{tf.from_epoch_ms(report.listed_ms):%Y-%m-%dT%H:%MZ}"
            wider = f"there are none before {first}; wait for more, give a file that begins earlier"
        raise DataError(
            f"{name}: {report.kept:,} bars of the {min_rows:,} that this preset needs; "
            f"{wider}, or choose a smaller preset"
        )
    if report.complete < MIN_COMPLETE:
        step = tf.to_ms(report.timeframe)
        end_ms = (report.last_ms or 0) + step
        if end_ms < report.as_of_ms - report.longest_gap * step:
            remedy = f"they end at {tf.from_epoch_ms(end_ms):%Y-%m-%dT%H:%MZ}: choose an --as-of that is not later"
        elif report.first_ms is not None and report.first_ms - report.start_ms > report.longest_gap * step:
            begin = tf.from_epoch_ms(report.first_ms)
            remedy = f"the window begins in a gap that ends at {begin:%Y-%m-%dT%H:%MZ}: choose that as --start"
        else:
            remedy = f"{report.describe_gaps()}: leave them out with --start or --as-of"
        raise DataError(
            f"{name}: {report.kept:,} of {report.expected:,} bars ({report.complete:.1%}) and {MIN_COMPLETE:.0%} are "
            f"needed; {remedy}" + (f"; look with: {look}" if look else "")
        )


def validate_series(report: BarsReport) -> None:
    """Raise DataError for rows that are of another timeframe, off the grid, or of more than one market."""
    name = f"{report.symbol} {report.timeframe}"
    step, spacing, received = tf.to_ms(report.timeframe), report.spacing_ms or 0, report.received
    if 0 < spacing < step:
        raise DataError(f"{name}: {explain_timeframe(spacing, report.timeframe)}")
    if report.off_grid > MOST_OFF_GRID * received:
        many = f"{report.off_grid:,} of {received:,} rows are off the grid"
        if report.shift_ms:
            raise DataError(f"{name}: {many}: {explain_shift(report.shift_ms, report.timeframe)}")
        raise DataError(
            f"{name}: {many}, each by a different amount: these are not whole {report.timeframe} bars in UTC"
        )
    if spacing > step:
        spread = report.complete > 0.5
        raise DataError(f"{name}: {explain_timeframe(spacing, report.timeframe, spread=spread)}")
    if report.conflicting > MOST_CONFLICTING * received:
        raise DataError(
            f"{name}: {report.conflicting:,} of {received:,} rows repeat a time with other values, "
            "as where two markets or timeframes are in one file; give a file with the rows of one market only"
        )
    if report.breaks > MOST_BREAKS * received:
        raise DataError(
            f"{name}: {report.breaks:,} of {received:,} bars open at more than double or less than half of the close "
            "before, as where two markets are in one file; give a file with the rows of one market only"
        )
    if report.break_ms is not None:
        at = f"{tf.from_epoch_ms(report.break_ms):%Y-%m-%dT%H:%MZ}"
        raise DataError(
            f"{name}: from {at} on the price is more than double or less than half of before, though no bar is missing "
            "there, as after a redenomination, or where rows of another market or in another unit begin; choose "
            f"--start {at} or later, or give a file of one market in one unit"
        )


def validate_values(report: BarsReport) -> None:
    """Raise DataError where bars are missing because many rows are not valid bars: how many, and what is wrong."""
    worst = max(_SPOILED, key=lambda each: getattr(report, each))
    count = getattr(report, worst)
    if report.complete < MIN_COMPLETE and count > (1 - MIN_COMPLETE) * report.received:
        raise DataError(
            f"{report.symbol} {report.timeframe}: {report.kept:,} of {report.expected:,} bars ({report.complete:.1%}) "
            f"and {MIN_COMPLETE:.0%} are needed; {count:,} of {report.received:,} rows {_SPOILED[worst]}: look whether "
            "each column holds what its name says"
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


def _between(raw: Bars, start_ms: int, end_ms: int) -> slice | npt.NDArray[np.bool_]:
    """The rows of ``[start_ms, end_ms)``: a slice, which copies nothing, where they lie side by side."""
    wanted = (raw.time >= start_ms) & (raw.time < end_ms)
    count = int(np.count_nonzero(wanted))
    rows = slice(first := int(wanted.argmax()) if count else 0, first + count)
    return rows if wanted[rows].all() else wanted


def _conflicting(bars: Bars) -> npt.NDArray[np.bool_]:
    """Which rows have a time that another row has with other values. Times ascend."""
    begins = np.concatenate([[True], np.diff(bars.time) != 0])[: len(bars)]
    if begins.all():
        return np.zeros(len(bars), np.bool_)
    group = np.cumsum(begins) - 1
    first = np.flatnonzero(begins)[group]
    differs: npt.NDArray[np.bool_] = (bars.values != bars.values[first]).any(axis=1)
    for column in bars.extra.values():
        other = column[first]
        differs |= (column != other) & ~(np.isnan(column) & np.isnan(other))
    spoiled = np.zeros(int(begins.sum()), np.bool_)
    spoiled[group[differs]] = True
    found: npt.NDArray[np.bool_] = spoiled[group]
    return found


def _leave_out(bars: Bars, bad: npt.NDArray[np.bool_] | np.bool_, name: str, counts: dict[str, int]) -> Bars:
    counts[name] = int(np.count_nonzero(bad))
    return bars.take(np.logical_not(bad)) if counts[name] else bars
