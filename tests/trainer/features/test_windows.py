"""Which windows belong to which part."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atb.errors import DataError
from atb.storage import MemoryStore
from tests.trainer.bars.conftest import ms
from trainer.bars.check import check_bars
from trainer.bars.files import FilesSource
from trainer.bars.frame import segment_starts
from trainer.features.sets import Features, compute_features, feature_set
from trainer.features.windows import (
    gather_windows,
    log_returns,
    rows_needed,
    split_windows,
    window_ends,
)


def valid(rows: int) -> Features:
    return np.zeros((rows, 1), np.float32)


def test_100_rows_split_by_hand() -> None:
    split = split_windows(valid(100), np.array([0]), 0, sequence_length=10, horizon=2)
    assert (split.train_stop, split.validation_stop) == (70, 85)
    assert split.train.tolist() == list(range(9, 68))  # 67 + 2 = 69 is the last train row
    assert split.validation.tolist() == list(range(79, 83))
    assert split.test.tolist() == list(range(94, 98))
    assert split.purged == 2 * (10 + 2 - 1)
    assert split.train.dtype == np.int64


def test_rows_count_from_the_first_row_of_the_window() -> None:
    split = split_windows(valid(130), np.array([0]), 30, sequence_length=10, horizon=1)
    assert (split.first_row, split.train_stop, split.validation_stop) == (30, 100, 115)
    assert split.train[0] == 39


@settings(max_examples=60, deadline=None)
@given(
    st.integers(200, 600), st.integers(0, 60), st.integers(2, 20), st.integers(1, 8),
    st.lists(st.integers(1, 199), max_size=4), st.lists(st.integers(0, 199), max_size=4),
)  # fmt: skip
def test_no_window_crosses_a_part_a_gap_or_an_undefined_row(
    rows: int, first: int, length: int, horizon: int, breaks: list[int], holes: list[int]
) -> None:
    starts = np.array(sorted({0, *breaks}))
    features = valid(rows)
    features[holes] = np.nan
    try:
        split = split_windows(features, starts, first, length, horizon)
    except DataError:
        return
    part_of = np.searchsorted([split.train_stop, split.validation_stop], np.arange(rows), side="right")
    segment_of = np.searchsorted(starts, np.arange(rows), side="right")
    expected = [
        end
        for end in range(first + length - 1, rows - horizon)
        for window in [slice(end - length + 1, end + horizon + 1)]
        if len(set(part_of[window])) == len(set(segment_of[window])) == 1
        and not np.isnan(features[end - length + 1 : end + 1]).any()
    ]
    assert [*split.train, *split.validation, *split.test] == expected


def test_the_fewest_rows_that_will_do_do() -> None:
    for length, horizon in ((16, 1), (60, 1), (120, 24), (90, 5)):
        rows = rows_needed(length, horizon)
        split_windows(valid(rows), np.array([0]), 0, length, horizon)
        with pytest.raises(DataError, match=r"the (validation|test) part has no window"):
            split_windows(valid(rows - 20), np.array([0]), 0, length, horizon)


def test_targets_are_log_returns_over_the_horizon() -> None:
    close = np.array([1.0, 2, 4, 8, 16])
    assert log_returns(close, np.array([0, 2]), 2).tolist() == pytest.approx([np.log(4)] * 2)


def test_windows_are_gathered_by_their_last_row() -> None:
    features = np.arange(20, dtype=np.float32).reshape(10, 2)
    windows = gather_windows(features, np.array([2, 9]), 3)
    assert windows.shape == (2, 3, 2)
    assert windows[:, :, 0].tolist() == [[0, 2, 4], [14, 16, 18]]


def test_windows_around_the_exchanges_outages_are_those_counted_by_hand(shared_bars: Path) -> None:
    # BTCUSDT spot, 2021-04-18 to 2021-04-28: no bars at 20th 02:00–03:00 and 25th 05:00–07:00. Segments of
    # 2·24+2 = 50, 5·24+1 = 121 and 3·24-8 = 64 rows; each has 29 rows of warm-up.
    start, as_of = ms("2021-04-18"), ms("2021-04-28")
    raw = FilesSource(str(shared_bars / "spot"), MemoryStore()).fetch("BTCUSDT", "1h", "spot", start, as_of)
    bars, _ = check_bars(raw, start, as_of)
    starts = segment_starts(bars)
    assert starts.tolist() == [0, 50, 171]
    assert len(bars) == 235
    features = compute_features(feature_set("classic"), bars)
    ends = window_ends(features, starts, 0, sequence_length=16, horizon=1)
    # a segment of n rows has n - 29 - 16 - 1 + 1 windows with a target: 5, 76 and 19
    assert ends.tolist() == [*range(44, 49), *range(94, 170), *range(215, 234)]
