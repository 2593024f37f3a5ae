"""Bars in memory."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.trainer.bars.builders import HOUR, T0, bars_at
from trainer.bars.frame import empty_bars, gaps, join_bars, segment_starts


def test_a_digest_follows_from_every_number_and_from_nothing_else() -> None:
    bars = bars_at([0, 1, 2])
    assert bars.digest == dataclasses.replace(bars, symbol="Y", synthetic=True, origins={"a": "b"}).digest
    assert bars.digest == bars_at([-1, 0, 1, 2], [9, 100, 101, 102]).rows(1, 4).digest
    changed = bars.values.copy()
    changed[1, 4] = np.nextafter(1, 2)
    others = [
        dataclasses.replace(bars, values=changed),
        dataclasses.replace(bars, time=bars.time + 1),
        dataclasses.replace(bars, extra={"x": np.zeros(3)}),
        dataclasses.replace(bars, extra={"y": np.zeros(3)}),
        bars.rows(0, 2),
    ]
    assert len({bars.digest, *(other.digest for other in others)}) == 6


def test_segments_begin_at_the_first_row_and_after_every_gap() -> None:
    bars = bars_at([0, 1, 2, 5, 6, 8])
    assert segment_starts(bars).tolist() == [0, 3, 5]
    assert gaps(bars) == [(T0 + 3 * HOUR, T0 + 5 * HOUR), (T0 + 7 * HOUR, T0 + 8 * HOUR)]
    assert segment_starts(empty_bars("X", "1h")).tolist() == []


def test_joining_keeps_the_columns_that_all_parts_have() -> None:
    first = dataclasses.replace(bars_at([0, 1]), extra={"a": np.ones(2), "b": np.ones(2)}, origins={"one": "1"})
    second = dataclasses.replace(bars_at([2]), extra={"b": np.zeros(1)}, origins={"two": "2"})
    joined = join_bars([first, empty_bars("XUSDT", "1h"), second])
    assert joined.extra.keys() == {"b"}
    assert joined.extra["b"].tolist() == [1, 1, 0]
    assert joined.origins == {"one": "1", "two": "2"}


def test_columns_of_the_wrong_length_or_type_are_a_bug_at_once() -> None:
    with pytest.raises(AssertionError):
        dataclasses.replace(bars_at([0, 1]), time=np.zeros(3, np.int64))
    with pytest.raises(AssertionError):
        dataclasses.replace(bars_at([0, 1]), extra={"a": np.zeros(2, np.float32)})
