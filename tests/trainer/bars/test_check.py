"""The checks at the door."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atb.errors import DataError
from atb.storage import MemoryStore
from tests.trainer.bars.builders import HOUR, T0, bars_at
from tests.trainer.bars.conftest import ms
from trainer.bars.check import BarsReport, check_bars, fill_gaps, validate_bars
from trainer.bars.files import FilesSource
from trainer.bars.frame import CLOSE, HIGH, LOW, VOLUME, Bars, join_bars, segment_starts


def check(bars: Bars, hours: int = 10) -> tuple[Bars, BarsReport]:
    return check_bars(bars, T0, T0 + hours * HOUR)


def with_value(bars: Bars, row: int, column: int, value: float) -> Bars:
    values = bars.values.copy()
    values[row, column] = value
    return dataclasses.replace(bars, values=values)


def later(bars: Bars, row: int) -> Bars:
    time = bars.time.copy()
    time[row] += 1000
    return dataclasses.replace(bars, time=time)


def doubled(bars: Bars) -> Bars:
    return dataclasses.replace(bars, values=2 * bars.values)


def test_whole_bars_come_through_untouched() -> None:
    raw = bars_at(list(range(10)))
    bars, report = check(raw)
    assert bars.digest == raw.digest
    assert report.summary() == "XUSDT 1h: 10 of 10 bars (100.00%); nothing wrong"


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (lambda bars: bars.take(np.array([0, 1, 3, 2, 4, 5, 6, 7, 8, 9])), {"unsorted": 1, "kept": 10}),
        (lambda bars: bars.take(np.array([0, 1, 1, *range(2, 10)])), {"duplicate": 1, "kept": 10}),
        (lambda bars: later(bars, 2), {"off_grid": 1, "kept": 9}),
        (lambda bars: with_value(bars, 4, CLOSE, np.nan), {"non_finite": 1, "kept": 9, "gaps": 1, "missing": 1}),
        (lambda bars: with_value(bars, 4, VOLUME, np.inf), {"non_finite": 1, "kept": 9}),
        (lambda bars: with_value(bars, 4, VOLUME, 1e39), {"non_finite": 1, "kept": 9}),
        (lambda bars: with_value(bars, 4, LOW, 0.0), {"non_positive": 1, "kept": 9}),
        (lambda bars: with_value(bars, 4, VOLUME, -1.0), {"non_positive": 1, "kept": 9}),
        (lambda bars: with_value(bars, 4, HIGH, 1.0), {"inconsistent": 1, "kept": 9}),
        (lambda bars: with_value(bars, 4, LOW, 105.0), {"inconsistent": 1, "kept": 9}),
        (lambda bars: with_value(bars, 4, VOLUME, 0.0), {"zero_volume": 1, "kept": 10}),
        (lambda bars: join_bars([bars.rows(0, 5), doubled(bars.rows(5, 10))]), {"jumps": 1, "kept": 10}),
        (lambda bars: bars.take(np.array([0, 1, 2, 3, 7, 8, 9])), {"missing": 3, "gaps": 1, "longest_gap": 3}),
        (lambda bars: bars.rows(0, 8), {"missing": 2, "gaps": 0}),
        (lambda bars: bars.rows(4, 10), {"missing": 0, "expected": 6, "listed_ms": T0 + 4 * HOUR}),
    ],
)  # fmt: skip
def test_each_problem_is_counted_by_name(spoil: Callable[[Bars], Bars], found: dict[str, int]) -> None:
    _, report = check(spoil(bars_at(list(range(10)))))
    assert {name: getattr(report, name) for name in found} == found
    for name in {"unsorted", "duplicate", "off_grid", "non_finite", "non_positive", "inconsistent"} - found.keys():
        assert getattr(report, name) == 0


def test_a_bar_that_closes_after_the_cut_is_left_out() -> None:
    bars, report = check_bars(bars_at(list(range(10))), T0, T0 + 8 * HOUR + HOUR // 2)
    assert (len(bars), report.unclosed, report.expected) == (8, 1, 8)


def test_of_two_bars_with_one_time_the_last_whole_one_is_kept() -> None:
    raw = bars_at([0, 1, 1, 1], [100, 5, 6, 7])
    bars, report = check(with_value(raw, 3, CLOSE, np.nan), 2)
    assert bars.close.tolist() == [100, 6]
    assert (report.duplicate, report.non_finite) == (1, 1)


def test_no_rows_at_all_are_reported_as_none() -> None:
    _, report = check(bars_at([]))
    assert (report.kept, report.expected, report.missing, report.complete) == (0, 10, 10, 0.0)


@given(st.lists(st.tuples(st.integers(-3, 40), st.floats(-1, 1000), st.floats(allow_nan=True)), max_size=60))
def test_whatever_comes_in_what_comes_out_is_sorted_unique_closed_and_finite(
    rows: list[tuple[int, float, float]],
) -> None:
    time = np.array([T0 + hours * HOUR // 2 for hours, _, _ in rows], np.int64).reshape(-1)
    values = np.array([[price, price, price, price, volume] for _, price, volume in rows], float).reshape(-1, 5)
    bars, report = check(Bars("XUSDT", "1h", time, values))
    assert (np.diff(bars.time) > 0).all()
    assert ((bars.time >= T0) & (bars.time + HOUR <= T0 + 10 * HOUR) & (bars.time % HOUR == T0 % HOUR)).all()
    assert np.isfinite(bars.values).all()
    assert (bars.values[:, :VOLUME] > 0).all()
    assert report.kept + report.missing == report.expected
    left_out = ("off_grid", "unclosed", "non_finite", "non_positive", "inconsistent", "duplicate")
    assert report.received - sum(getattr(report, name) for name in left_out) == report.kept


def test_too_few_bars_are_refused_with_the_numbers_and_the_remedy() -> None:
    _, report = check(bars_at(list(range(10))))
    validate_bars(report, 10)
    with pytest.raises(DataError, match="10 bars of the 11 that this preset needs; widen the window with --days"):
        validate_bars(report, 11)


def test_below_99_percent_is_refused_and_99_is_not() -> None:
    _, report = check(bars_at([hour for hour in range(200) if hour not in (50, 51)]), 200)
    validate_bars(report, 1)
    _, report = check(bars_at([hour for hour in range(200) if hour not in (50, 51, 52)]), 200)
    with pytest.raises(DataError, match=r"197 of 200 bars \(98.5%\) and 99% are needed; 1 gap up to 3 bars long"):
        validate_bars(report, 1)


def test_bars_that_end_before_the_cut_are_told_where() -> None:
    _, report = check(bars_at(list(range(150))), 200)
    with pytest.raises(DataError, match="they end at 2023-11-21T05:00Z: choose an --as-of that is not later"):
        validate_bars(report, 1)


def test_filled_gaps_are_flat_bars_at_the_close_before_without_volume() -> None:
    raw = dataclasses.replace(bars_at([0, 1, 4, 5]), extra={"rate": np.array([1.0, 2, 3, 4])})
    bars, added = fill_gaps(raw)
    assert added == 2
    assert segment_starts(bars).tolist() == [0]
    assert bars.values[2:4].tolist() == [[101, 101, 101, 101, 0]] * 2
    assert bars.extra["rate"].tolist() == [1, 2, 2, 2, 3, 4]
    assert bars.take(np.array([0, 1, 4, 5])).digest == raw.digest


def test_the_exchanges_outages_are_the_known_ones(shared_bars: Path) -> None:
    source = FilesSource(str(shared_bars / "spot"), MemoryStore())
    start, as_of = ms("2020-09-20"), ms("2025-09-19T23:00")
    bars, report = check_bars(source.fetch("BTCUSDT", "1h", "spot", start, as_of), start, as_of)
    assert (report.kept, report.expected, report.missing) == (43_803, 43_823, 20)
    assert (report.gaps, report.longest_gap, report.zero_volume, report.jumps) == (10, 4, 2, 0)
    assert segment_starts(bars)[:3].tolist() == [0, 71 * 24 + 6, 92 * 24 + 14 - 1]
