"""From a spec to bars that can be trusted."""

from __future__ import annotations

import dataclasses
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from atb.contract import timeframe as tf
from atb.contract.spec import resolve_spec
from atb.errors import DataError, DataNotReady
from atb.storage import MemoryStore
from tests.trainer.bars.conftest import ms
from trainer.bars.frame import Bars
from trainer.bars.load import LoadedBars, load_bars
from trainer.bars.sample import SampleSource


class Spoiled:
    """Made-up bars that pass for real ones, with some rows left out."""

    name = "spoiled"
    synthetic = False

    def __init__(self, without: tuple[int, ...] = (), *, live: bool = False, last: datetime | None = None) -> None:
        self._without = list(without)
        self.live = live
        self._last_ms = tf.epoch_ms(last) if last else 2**62

    def fetch(self, symbol: str, timeframe: str, market: str, start_ms: int, end_ms: int) -> Bars:
        bars = SampleSource().fetch(symbol, timeframe, market, start_ms, min(end_ms, self._last_ms))
        kept = np.setdiff1d(np.arange(len(bars)), self._without)
        extra = {"rate": np.arange(len(bars), dtype=np.float64), "odd": np.full(len(bars), np.nan)}
        return dataclasses.replace(bars, synthetic=False, extra=extra).take(kept)


def load(source: Any = None, warmup: int = 50, **options: Any) -> LoadedBars:
    spec = resolve_spec("BTCUSDT", "fast", {"source": "sample", "as_of": "2025-03-01", "days": 100, **options})
    return load_bars(spec, MemoryStore(), warmup, 100, source)


def test_the_warm_up_lies_before_the_window_and_is_not_counted() -> None:
    loaded = load()
    assert loaded.first_row == 50
    assert loaded.bars.time[50] == ms("2024-11-21")
    assert loaded.bars.time[-1] == ms("2025-02-28T23:00")
    assert (loaded.summary.rows, loaded.summary.segments, loaded.summary.synthetic) == (2400, 1, True)
    assert loaded.summary.first == datetime(2024, 11, 21, tzinfo=UTC)
    assert loaded.summary.digest == loaded.bars.digest
    assert loaded.summary.report["missing"] == 0
    assert loaded.bars.origins == {"sample": "sample"}


def test_gaps_make_segments_by_default_and_are_reported_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    loaded = load(Spoiled((100, 101, 500)))
    assert loaded.summary.segments == 3
    assert loaded.summary.report["missing"] == 3
    assert caplog.messages == ["BTCUSDT 1h: 2,397 of 2,400 bars (99.88%); 2 gaps up to 2 bars long, 3 missing"]


def test_filled_gaps_leave_one_segment_and_are_counted() -> None:
    loaded = load(Spoiled((100, 101, 500)), on_gap="fill")
    assert (loaded.summary.segments, loaded.summary.rows, loaded.first_row) == (1, 2400, 50)
    assert loaded.summary.report["filled"] == 3
    assert loaded.bars.values[100, 4] == 0
    assert loaded.bars.values[100, :4].tolist() == [loaded.bars.close[99]] * 4


def test_gaps_fail_when_that_is_wanted() -> None:
    with pytest.raises(DataError, match="3 bars are missing and --on-gap is fail; use --on-gap segment"):
        load(Spoiled((100, 101, 500)), on_gap="fail")
    load(Spoiled((3,)), on_gap="fail")  # in the warm-up


def test_fewer_bars_than_the_preset_needs_are_refused() -> None:
    with pytest.raises(DataError, match="48 bars of the 100 that this preset needs"):
        load(days=2)


def test_a_cut_in_the_future_has_not_come_yet() -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    with pytest.raises(DataNotReady, match="has not come yet"):
        load(Spoiled(), as_of=tomorrow.isoformat())


def test_the_last_bars_before_the_cut_are_waited_for_of_files_too_and_old_ones_of_an_exchange_are_not() -> None:
    cut = tf.floor(datetime.now(UTC), "1h")
    late = Spoiled(live=True, last=cut - timedelta(hours=2))
    with pytest.raises(DataNotReady, match=r"not yet until .*; try again later"):
        load(late, as_of=cut.isoformat())
    with pytest.raises(DataNotReady, match=r"not yet until .*; try again later, or choose an earlier --as-of"):
        load(Spoiled(live=False, last=datetime(2025, 2, 28, 23, tzinfo=UTC)))
    load(Spoiled(live=True, last=datetime(2025, 2, 28, 20, tzinfo=UTC)))


def test_rows_that_are_no_bars_are_refused_and_not_waited_for() -> None:
    class Swapped(Spoiled):
        def fetch(self, *what: Any) -> Bars:
            bars = super().fetch(*what)
            return dataclasses.replace(bars, values=bars.values[:, [0, 2, 1, 3, 4]])

    with pytest.raises(DataError, match="rows have a high below, or a low above, their open or close") as caught:
        load(Swapped())
    assert not isinstance(caught.value, DataNotReady)


def test_a_start_at_the_bar_that_a_refusal_names_is_as_good_as_a_listing_there(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Redenominated(Spoiled):
        def fetch(self, *what: Any) -> Bars:
            bars = super().fetch(*what)
            times = np.where(bars.time >= ms("2024-12-24T05:00"), 0.001, 1.0)
            return dataclasses.replace(bars, values=bars.values * times[:, None])

    with pytest.raises(DataError, match="choose --start 2024-12-24T05:00Z or later"):
        load(Redenominated())
    loaded = load(Redenominated(), start="2024-12-24T05:00Z", days=None)
    assert (loaded.first_row, loaded.summary.first) == (0, datetime(2024, 12, 24, 5, tzinfo=UTC))
    assert "BTCUSDT: bars before 2024-12-24T05:00Z are at another price level and are not used" in caplog.messages
    assert load(Redenominated(), start="2024-12-25T05:00Z", days=None).first_row == 24


def test_only_the_extra_columns_that_are_named_are_kept_and_change_the_digest() -> None:
    plain, extra = load(Spoiled()), load(Spoiled(), features="classic,+rate")
    assert plain.bars.extra == {}
    assert list(extra.bars.extra) == ["rate"]
    assert plain.summary.digest != extra.summary.digest


def test_an_extra_column_that_is_absent_or_has_holes_is_refused() -> None:
    with pytest.raises(DataError, match=r"\+funding, and the bars have no such column; there: odd, rate"):
        load(Spoiled(), features="classic,+funding")
    with pytest.raises(DataError, match="column odd is empty or infinite in 2450 rows"):
        load(Spoiled(), features="classic,+odd")


def test_a_later_start_reads_the_same_rows_of_what_both_cover() -> None:
    long, short = load(days=100).bars, load(days=90).bars
    assert long.rows(len(long) - 90 * 24, len(long)).digest == short.rows(50, len(short)).digest
