"""Indicators against exact arithmetic, published numbers, and prices from 1e-8 to 1e5."""

from __future__ import annotations

import numpy as np
import pytest

from tests.trainer.features import reference
from trainer.bars.frame import Floats
from trainer.features import indicators

# The worked example of the RSI at StockCharts' ChartSchool, closes of QQQQ; its RSI is rounded there to 2 digits.
CLOSES = [
    44.3389, 44.0902, 44.1497, 43.6124, 44.3278, 44.8264, 45.0955, 45.4245, 45.8433, 46.0826, 45.8931,
    46.0328, 45.6140, 46.2820, 46.2820, 46.0028, 46.0328, 46.4116, 46.2222, 45.6439, 46.2122, 46.2521,
]  # fmt: skip
PUBLISHED_RSI = [70.53, 66.32, 66.55, 69.41, 66.36, 57.97, 62.93, 63.26]


@pytest.fixture(params=[1e-8, 1e-3, 1.0, 1e5])
def walk(request: pytest.FixtureRequest) -> Floats:
    """400 rows of high, low, close at one level of price."""
    rng = np.random.default_rng(3)
    close = request.param * np.exp(np.cumsum(rng.normal(0, 0.01, 400)))
    return np.column_stack([close * (1 + rng.uniform(0, 0.01, 400)), close * (1 - rng.uniform(0, 0.01, 400)), close])


def assert_equal(found: Floats, wanted: reference.Exact, tolerance: float = 1e-12, level: float = 0.0) -> None:
    undefined = [row for row, value in enumerate(wanted) if value is None]
    assert np.flatnonzero(np.isnan(found)).tolist() == undefined
    numbers = np.array([float(value) for value in wanted if value is not None])
    assert np.abs(found[len(undefined) :] - numbers).max() <= tolerance * max(level, np.abs(numbers).max())


@pytest.mark.parametrize("window", [1, 2, 7, 14, 30, 64, 399, 400])
def test_a_mean_is_exact_at_every_price(walk: Floats, window: int) -> None:
    close = walk[:, 2]
    found, wanted = indicators.sma(close, window), reference.sma(reference.exact(close.tolist()), window)
    assert_equal(found, wanted, 1e-15)


def test_recursions_are_exact_at_every_price(walk: Floats) -> None:
    high, low, close = (np.ascontiguousarray(column) for column in walk.T)
    highs, lows, closes = (reference.exact(column.tolist()) for column in walk.T)
    level = float(close.max())
    assert_equal(indicators.rsi(close, 14), reference.rsi(closes, 14))
    assert_equal(indicators.ema(close, 12), reference.ema(closes, 12))
    assert_equal(indicators.macd(close), reference.macd(closes), level=level)
    assert_equal(indicators.atr(high, low, close, 14), reference.atr(highs, lows, closes, 14), level=level)


def test_the_rsi_is_the_published_one() -> None:
    found = indicators.rsi(np.array(CLOSES), 14)[14:]
    assert np.round(found, 2).tolist() == PUBLISHED_RSI


def test_the_rsi_has_no_scale() -> None:
    close = 1 + np.random.default_rng(5).uniform(0, 0.1, 300)
    for scale in (1e-8, 1e5):
        assert np.nanmax(np.abs(indicators.rsi(scale * close) - indicators.rsi(close))) < 1e-9


@pytest.mark.parametrize(
    ("close", "wanted"),
    [
        (np.full(40, 3.7), 50.0),
        (np.arange(1.0, 41.0), 100.0),
        (np.arange(40.0, 0.0, -1.0), 0.0),
        (np.concatenate([np.full(39, 3.0), [4.0]]), 100.0),
        (np.concatenate([np.full(39, 3.0), [2.0]]), 0.0),
    ],
)
def test_the_rsi_of_one_sided_and_flat_prices(close: Floats, wanted: float) -> None:
    assert indicators.rsi(close)[-1] == wanted


def test_the_rsi_is_50_until_the_first_move_and_from_row_14() -> None:
    found = indicators.rsi(np.concatenate([np.full(20, 3.0), [4.0, 3.5]]))
    assert np.isnan(found[:14]).all()
    assert (found[14:20] == 50).all()
    assert found[20] == 100
    assert 0 < found[21] < 100


def test_a_long_flat_stretch_keeps_the_last_strength() -> None:
    close = np.concatenate([1e-8 * (1 + np.random.default_rng(1).uniform(0, 0.01, 50)), np.full(600, 1e-8)])
    found = indicators.rsi(close)
    assert np.abs(found[51:] - found[51]).max() < 1e-9


def test_a_small_price_after_a_large_one_keeps_its_digits() -> None:
    close = np.concatenate([np.full(50, 1e5), 1e-8 * (1 + np.random.default_rng(1).uniform(0, 0.01, 100))])
    wanted = reference.sma(reference.exact(close.tolist()), 30)
    found = indicators.sma(close, 30)
    assert np.abs(found[80:] / np.array([float(value or 0) for value in wanted[80:]]) - 1).max() < 1e-15


def test_blocks_join_without_a_seam() -> None:
    x = np.random.default_rng(2).uniform(1, 2, 2 * 16_384 + 100)
    whole = indicators.sma(x, 30)
    for start in (16_300, 16_384, 32_700):
        assert np.array_equal(whole[start + 29 : start + 129], indicators.sma(x[start : start + 129], 30)[29:129])


@pytest.mark.parametrize("rows", [0, 1, 13, 14])
def test_too_few_rows_are_all_undefined(rows: int) -> None:
    x = np.linspace(1, 2, rows)
    for column in (indicators.sma(x, 30), indicators.macd(x), indicators.atr(x, x, x)):
        assert len(column) == rows
        assert np.isnan(column).all()
    assert np.isnan(indicators.rsi(x)).all()
