"""Input validation of bars."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atb.contract import timeframe as tf
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


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2]])
def test_of_rows_with_one_time_and_other_values_none_is_kept_whatever_their_order(order: list[int]) -> None:
    raw = bars_at([0, 1, 1, 1, 2], [100, 5, 6, 5, 7])
    bars, report = check(raw.take(np.array([*order, 4])), 3)
    assert bars.close.tolist() == [100, 7]
    assert (report.conflicting, report.duplicate, report.missing) == (3, 0, 1)


def test_of_rows_with_one_time_that_are_not_whole_the_whole_one_is_kept() -> None:
    bars, report = check(with_value(bars_at([0, 1, 1], [100, 5, 6]), 2, CLOSE, np.nan), 2)
    assert bars.close.tolist() == [100, 5]
    assert (report.conflicting, report.duplicate, report.non_finite) == (0, 0, 1)


def test_rows_that_differ_in_an_extra_column_alone_are_not_the_same() -> None:
    raw = dataclasses.replace(bars_at([0, 1, 1, 2], [1, 2, 2, 3]), extra={"rate": np.array([1.0, 2, 3, np.nan])})
    assert check(raw, 3)[1].conflicting == 2


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
    left_out = ("off_grid", "unclosed", "non_finite", "non_positive", "inconsistent", "duplicate", "conflicting")
    assert report.received - sum(getattr(report, name) for name in left_out) == report.kept


def hours_apart(distance: float, count: int = 300, shift: float = 0.0) -> Bars:
    """Hourly bars by name, that lie so many hours apart."""
    return bars_at([shift + distance * row for row in range(count)])


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (hours_apart(1 / 12), "the rows are 5m bars, not 1h; take --timeframe 5m, or make 1h bars of them first"),
        (hours_apart(1 / 60), "the rows are 1m bars, not 1h"),
        (hours_apart(0.5), "the rows are 30m bars, not 1h"),
        (hours_apart(1 / 3600, shift=0.5), "the rows are 1s bars, not 1h; make 1h bars of them first"),
        (hours_apart(1 / 60).take(np.flatnonzero(np.arange(300) % 7 != 3)), "the rows are 1m bars, not 1h"),
        (hours_apart(4), "the rows are 4h bars, not 1h; take --timeframe 4h"),
        (hours_apart(24), "the rows are 1d bars, not 1h"),
        (hours_apart(1, shift=1 - 1 / 3_600_000), "300 of 300 rows are off the grid: they lie 1ms before .* closing"),
        (hours_apart(1, shift=1 - 1 / 3600), "they lie 1s before the 1h grid, as closing times do"),
        (hours_apart(1, shift=0.5), "they lie 30m after the 1h grid, as times of another zone"),
        (hours_apart(1, shift=0.25), "they lie 15m after the 1h grid"),
        (join_bars([hours_apart(1), hours_apart(1, 4, shift=7.5)]), "4 of 304 rows are off the grid"),
    ],
)  # fmt: skip
def test_rows_of_another_timeframe_or_grid_are_refused_with_what_they_are(raw: Bars, problem: str) -> None:
    _, report = check_bars(raw, T0, T0 + 8000 * HOUR)
    with pytest.raises(DataError, match=f"^XUSDT 1h: .*{problem}") as caught:
        validate_bars(report, 1)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("hours", [2, 4, 24, 60, 1440])
def test_longer_bars_that_were_spread_over_a_finer_grid_are_refused_and_a_market_without_trades_is_not(
    hours: int,
) -> None:
    rows = max(480, 20 * hours)
    raw = bars_at(list(range(rows)), [100.0 + row // hours for row in range(rows)])
    _, report = check(raw, rows)
    written = f"the rows are {hours // 24}d" if hours % 24 == 0 else f"the rows are {hours}h"
    with pytest.raises(DataError, match=f"{written} bars, each written several times, not 1h; take --timeframe"):
        validate_bars(report, 1)
    raw.values[::hours, VOLUME] = 9.0  # a trade, then nothing
    for begin, end in ((0, rows), (1, rows - hours + 1)):  # the latter with a trade in the last bar
        still = raw.take(slice(begin, end))
        still = dataclasses.replace(still, time=T0 + np.arange(end - begin) * HOUR)
        _, report = check(still, end - begin)
        validate_bars(report, 1)


@pytest.mark.parametrize("traded", [[], [81], [40, 81], [5, 9, 23, 31, 44, 58, 70, 81], list(range(1, 82, 9))])
def test_a_quiet_market_is_of_its_own_timeframe(traded: list[int]) -> None:
    raw = bars_at(list(range(82)), [100.0] * 82)
    raw.values[:, VOLUME] = 0.0
    raw.values[traded, VOLUME] = 9.0
    _, report = check(raw, 82)
    validate_bars(report, 82)


@pytest.mark.parametrize(
    ("timeframe", "shift", "problem"),
    [
        ("1d", 16, "16h after the 1d grid: these days begin at 16:00 UTC, and days here begin at 00:00 UTC"),
        ("1d", 5.5, "these days begin at 05:30 UTC"),
        ("1d", 24 - 1 / 3_600_000, "they lie 1ms before the 1d grid, as closing times do"),
        (
            "1w",
            6 * 24,
            "6d after the 1w grid: these weeks begin at Sunday 00:00 UTC, and weeks here begin at Monday 00:00 UTC",
        ),
        ("4h", 1, "they lie 1h after the 4h grid, as times of another zone"),
    ],
)
def test_another_boundary_of_the_bars_is_told_by_how_much(timeframe: str, shift: float, problem: str) -> None:
    step = tf.to_ms(timeframe)
    begin = ms("2024-01-01") + round(shift * HOUR)
    made = bars_at(list(range(100)))
    raw = dataclasses.replace(made, timeframe=timeframe, time=begin + np.arange(100) * step)
    _, report = check_bars(raw, ms("2024-01-01"), ms("2026-01-01"))
    with pytest.raises(DataError, match=f"100 of 100 rows are off the grid: .*{problem}"):
        validate_bars(report, 1)


def test_two_markets_in_one_file_are_refused_in_any_order_and_a_single_slip_is_a_gap() -> None:
    one = bars_at(list(range(300)))
    other = doubled(one)
    for raw in (join_bars([one, other]), join_bars([other.rows(100, 110), one]), join_bars([one, other.rows(0, 4)])):
        _, report = check(raw, 300)
        with pytest.raises(DataError, match="repeat a time with other values, as where two markets"):
            validate_bars(report, 1)
    _, report = check(join_bars([one, other.rows(7, 8)]), 300)
    validate_bars(report, 1)
    assert (report.kept, report.conflicting) == (299, 2)


def moved(closes: list[float]) -> Bars:
    """Bars that open at the close before."""
    bars = bars_at(list(range(len(closes))), closes)
    bars.values[1:, 0] = bars.values[:-1, CLOSE]
    bars.values[:, HIGH], bars.values[:, LOW] = (
        bars.values[:, [0, CLOSE]].max(axis=1),
        bars.values[:, [0, CLOSE]].min(axis=1),
    )
    return bars


def test_a_market_that_moves_however_far_is_one_market() -> None:
    bars, report = check(moved([100.0, 1.0, 1000.0] * 100), 300)
    validate_bars(report, 300)
    assert (len(bars), report.breaks, report.jumps) == (300, 0, 299)


@pytest.mark.parametrize("factor", [0.03, 0.4, 2.5, 1000.0])
def test_rows_of_another_market_or_unit_after_one_another_are_refused_with_the_time(factor: float) -> None:
    begin, rest = moved([100.0] * 200), moved([100.0 * factor] * 300).rows(200, 300)
    _, report = check(join_bars([begin, rest]), 300)
    at = tf.from_epoch_ms(T0 + 200 * HOUR)
    problem = f"from {at:%Y-%m-%dT%H:%MZ} on the price is more than double .*; choose --start {at:%Y-%m-%dT%H:%MZ} or"
    with pytest.raises(DataError, match=problem):
        validate_bars(report, 1)
    _, report = check(join_bars([begin, rest.rows(2, 100)]), 300)
    assert report.breaks == 0  # what happened in a gap is not known


def test_rows_of_two_markets_in_turn_are_refused_and_one_bad_tick_is_said() -> None:
    one, other = moved([100.0] * 300), moved([300.0] * 300)
    _, report = check(join_bars([one.take(np.arange(0, 300, 2)), other.take(np.arange(1, 300, 2))]), 300)
    with pytest.raises(
        DataError, match=r"299 of 300 bars open at more than double .* where two markets are in one file"
    ):
        validate_bars(report, 1)
    _, report = check(join_bars([one.rows(0, 150), other.rows(150, 151), one.rows(151, 300)]), 300)
    validate_bars(report, 1)
    assert report.summary().endswith("2 jumps, 2 breaks")


@pytest.mark.parametrize(
    ("columns", "value", "problem"),
    [
        ([LOW, HIGH, 0, CLOSE, VOLUME], None, "300 of 300 rows have a high below, or a low above, their open or close"),
        (
            None,
            (VOLUME, np.nan),
            "300 of 300 rows hold something that is not a finite number: look whether each column",
        ),
        (None, (CLOSE, 0.0), "300 of 300 rows hold a price of 0 or less, or a volume below 0"),
    ],
)
def test_columns_in_another_order_or_without_a_value_are_named_as_such(
    columns: list[int] | None, value: tuple[int, float] | None, problem: str
) -> None:
    raw = bars_at(list(range(300)))
    raw = raw if columns is None else dataclasses.replace(raw, values=raw.values[:, columns])
    if value is not None:
        raw.values[:, value[0]] = value[1]
    _, report = check(raw, 300)
    with pytest.raises(DataError, match=f"99% are needed; {problem}"):
        validate_bars(report, 10)


def test_a_few_rows_off_the_grid_are_an_exchanges_slip() -> None:
    _, report = check(join_bars([bars_at(list(range(300))), bars_at([7.5, 100.25])]), 300)
    validate_bars(report, 300)
    assert report.off_grid == 2


def test_a_window_that_begins_in_a_gap_or_before_the_listing_is_told_on_the_summary_line() -> None:
    late = bars_at(list(range(3, 10)))
    assert "the window begins at 2023-11-14T23:00Z before the first bar, the bars at 2023-11-15T02:00Z" in (
        check(late)[1].summary()
    )
    _, report = check(join_bars([bars_at([-5]), late]))
    assert "the window begins at 2023-11-14T23:00Z in a gap, the bars at 2023-11-15T02:00Z" in report.summary()
    assert (report.missing, report.listed_ms, report.complete) == (3, None, 0.7)


def test_too_few_bars_are_refused_with_the_numbers_and_the_remedy() -> None:
    _, report = check(bars_at(list(range(10))))
    validate_bars(report, 10)
    with pytest.raises(DataError, match="10 bars of the 11 that this preset needs; widen the window with --days"):
        validate_bars(report, 11)
    _, report = check(bars_at(list(range(4, 10))))
    with pytest.raises(DataError, match="there are none before 2023-11-15T03:00Z; wait for more, give a file that"):
        validate_bars(report, 11)


def test_below_99_percent_is_refused_and_99_is_not() -> None:
    _, report = check(bars_at([hour for hour in range(200) if hour not in (50, 51)]), 200)
    validate_bars(report, 1)
    _, report = check(bars_at([hour for hour in range(200) if hour not in (50, 51, 52)]), 200)
    with pytest.raises(DataError, match=r"197 of 200 bars \(98.5%\) and 99% are needed; 1 gap up to 3 bars long"):
        validate_bars(report, 1)


def test_bars_that_end_before_the_cut_are_reported_with_their_end() -> None:
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
