"""Forecasts at each bar's close, on a clock of the test's own and bars of a file that grows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from atb.contract import timeframe as tf
from atb.documents.champion import Champion, Signal
from atb.errors import StoreError
from tests.trainer.cli.test_predict import write_csv
from tests.trainer.export.test_export import export
from tests.trainer.export.trained import make_bars, make_fitted
from tests.trainer.serve.test_forecasts import serve
from trainer.serve.follow import follow, next_close
from trainer.serve.forecasts import Forecasts, NoForecast, Row

BARS = make_bars(600, 1.0)
START = tf.from_epoch_ms(int(BARS.time[500])) + timedelta(minutes=20)


class Ended(Exception):
    """The process was stopped."""


class Day:
    """A clock that only sleeping moves, at which things happen, and which stops the process at its end."""

    def __init__(self, end: datetime, events: dict[datetime, Callable[[], None]]) -> None:
        self.time, self.end, self.events = START.timestamp(), end.timestamp(), dict(events)

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.time += seconds
        for at in [at for at in self.events if at.timestamp() <= self.time]:
            self.events.pop(at)()
        if self.time >= self.end:
            raise Ended


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    export(make_fitted("fast", "relative", BARS), folder)
    return folder


def watch(
    folder: Path, csv: Path, hours: float, events: dict[datetime, Callable[[], None]], failing: Sequence[int] = ()
) -> list[tuple[datetime, Row]]:
    """The rows shown, with when. ``failing``: which looks for champions the store does not answer."""
    store, champion = serve(folder)
    clock, shown, looks = Day(START + timedelta(hours=hours), events), list[tuple[datetime, Row]](), 0

    def find() -> tuple[Sequence[Champion], Sequence[NoForecast]]:
        nonlocal looks
        looks += 1
        if looks in failing:
            raise StoreError("no answer")
        return [champion], []

    def show(rows: Sequence[Row]) -> None:
        shown.extend((datetime.fromtimestamp(clock.now(), UTC), row) for row in rows)

    with pytest.raises(Ended):
        follow(find, Forecasts(store, f"files:{csv}"), show, clock)
    return shown


def test_each_bar_is_forecast_once_when_it_closes(folder: Path, tmp_path: Path) -> None:
    write_csv(BARS, tmp_path / "BTCUSDT_1h.csv")
    shown = watch(folder, tmp_path, 3, {})
    closes = [tf.floor(START, "1h") + timedelta(hours=hour) for hour in range(4)]
    assert [at for at, _ in shown] == [START, *closes[1:]]
    signals = [row for _, row in shown if isinstance(row, Signal)]
    assert [signal.last_open for signal in signals] == [close - timedelta(hours=1) for close in closes]


def test_a_bar_that_comes_late_is_waited_for(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "BTCUSDT_1h.csv"
    write_csv(BARS.rows(0, 500), path)
    there = tf.floor(START, "1h") + timedelta(hours=1, seconds=90)
    shown = watch(folder, tmp_path, 1.5, {there: lambda: write_csv(BARS, path)})
    (_, first), (at, second) = shown
    assert isinstance(first, Signal)
    assert isinstance(second, Signal)
    assert second.last_open - first.last_open == timedelta(hours=1)
    assert timedelta() <= at - there <= timedelta(seconds=30)


def test_a_bar_that_never_comes_is_a_row_that_says_so_and_the_next_one_is_forecast(
    folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "BTCUSDT_1h.csv"
    write_csv(BARS.rows(0, 500), path)
    there = tf.floor(START, "1h") + timedelta(hours=2, seconds=-10)
    shown = watch(folder, tmp_path, 2.5, {there: lambda: write_csv(BARS, path)})
    assert [type(row) for _, row in shown] == [Signal, NoForecast, Signal]
    missing = shown[1][1]
    assert isinstance(missing, NoForecast)
    assert (missing.model, missing.exit_code) == ("BTCUSDT 1h fast", 11)


def test_a_wait_is_said_once_and_not_one_of_a_few_seconds(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "BTCUSDT_1h.csv"
    write_csv(BARS.rows(0, 500), path)
    first, second = (tf.floor(START, "1h") + timedelta(hours=hour) for hour in (1, 2))
    events = {
        first + timedelta(seconds=5): lambda: write_csv(BARS.rows(0, 501), path),
        second + timedelta(minutes=5): lambda: write_csv(BARS, path),
    }
    shown = watch(folder, tmp_path, 2.5, events)
    assert [type(row) for _, row in shown] == [Signal, Signal, Signal]
    (said,) = caplog.messages
    assert said.startswith(f"waiting for BTCUSDT 1h fast: BTCUSDT 1h: the bar that closed at {second:%Y-%m-%dT%H:%MZ}")


def test_a_file_that_is_just_being_written_is_read_again(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "BTCUSDT_1h.csv"
    write_csv(BARS, path)
    half = path.read_text()[:30_000]
    path.write_text(half)
    shown = watch(folder, tmp_path, 1.5, {START + timedelta(seconds=9): lambda: write_csv(BARS, path)})
    assert [type(row) for _, row in shown] == [Signal, Signal]
    assert shown[0][0] - START < timedelta(seconds=30)
    path.write_text(half)
    shown = watch(folder, tmp_path, 0.1, {})
    assert [(type(row), at - START < timedelta(minutes=1)) for at, row in shown] == [(NoForecast, True)]


def test_a_store_that_does_not_answer_costs_no_bar(folder: Path, tmp_path: Path) -> None:
    write_csv(BARS, tmp_path / "BTCUSDT_1h.csv")
    shown = watch(folder, tmp_path, 2.5, {}, failing=[2])
    assert [type(row) for _, row in shown] == [Signal, Signal, Signal]


def test_the_next_close_is_that_of_the_shortest_timeframe() -> None:
    now = datetime(2026, 1, 1, 9, 58, tzinfo=UTC)
    assert next_close(now, ["1h", "15m"]) == datetime(2026, 1, 1, 10, tzinfo=UTC)
    assert next_close(now, ["1d", "4h"]) == datetime(2026, 1, 1, 12, tzinfo=UTC)
