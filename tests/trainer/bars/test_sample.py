"""Made-up bars."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trainer.bars.conftest import ms
from trainer.bars.check import check_bars
from trainer.bars.frame import VOLUME, Bars
from trainer.bars.sample import LISTED_MS, SampleSource

START, END = ms("2025-01-01"), ms("2025-07-01")


@pytest.fixture(scope="module")
def year() -> Bars:
    return SampleSource().fetch("BTCUSDT", "1h", "spot", START, END)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 4000), st.integers(1, 400))
def test_a_bar_is_the_same_in_any_window(first: int, count: int) -> None:
    whole = SampleSource().fetch("BTCUSDT", "1h", "spot", START, END)
    start = START + first * 3_600_000
    part = SampleSource().fetch("BTCUSDT", "1h", "spot", start, min(END, start + count * 3_600_000))
    assert part.digest == whole.rows(first, first + len(part)).digest


@pytest.mark.parametrize("timeframe", ["1m", "15m", "1h", "4h", "1d", "3d", "1w"])
def test_nothing_is_wrong_with_any_timeframe(timeframe: str) -> None:
    raw = SampleSource().fetch("ETHUSDT", timeframe, "um", START, ms("2025-03-10"))
    bars, report = check_bars(raw, START, ms("2025-03-10"))
    assert len(bars) > 8
    assert (report.missing, report.kept + report.unclosed) == (0, report.received)


def test_symbols_markets_and_seeds_have_bars_of_their_own() -> None:
    sources = [("BTCUSDT", "spot", 0), ("ETHUSDT", "spot", 0), ("BTCUSDT", "um", 0), ("BTCUSDT", "spot", 1)]
    digests = {SampleSource(seed).fetch(symbol, "1h", market, START, END).digest for symbol, market, seed in sources}
    assert len(digests) == 4


def test_returns_are_white_with_fat_tails_and_clustered_volatility(year: Bars) -> None:
    returns = np.diff(np.log(year.close))
    size = np.abs(returns)
    assert 0.003 < returns.std() < 0.015
    assert abs(np.corrcoef(returns[1:], returns[:-1])[0, 1]) < 0.05
    assert np.corrcoef(size[1:], size[:-1])[0, 1] > 0.1
    assert ((returns - returns.mean()) ** 4).mean() / returns.var() ** 2 > 4
    assert np.corrcoef(size, np.log(year.values[1:, VOLUME]))[0, 1] > 0.3


def test_no_bar_opens_before_the_listing_and_none_is_taken_for_real() -> None:
    bars = SampleSource().fetch("BTCUSDT", "1h", "spot", 0, LISTED_MS + 3_600_000)
    assert bars.time.tolist() == [LISTED_MS]
    assert bars.synthetic
    assert not len(SampleSource().fetch("BTCUSDT", "1h", "spot", 0, LISTED_MS))
