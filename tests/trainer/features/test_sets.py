"""Feature sets: their columns, where they are valid, and what they may know."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atb.contract.features import FEATURE_SETS
from atb.errors import SpecError
from atb.storage import MemoryStore
from tests.trainer.bars.builders import bars_at
from tests.trainer.bars.conftest import ms
from trainer.bars.check import check_bars
from trainer.bars.files import FilesSource
from trainer.bars.frame import Bars, segment_starts
from trainer.bars.sample import SampleSource
from trainer.features import indicators
from trainer.features.sets import compute_features, feature_hash, feature_set

BARS = SampleSource().fetch("BTCUSDT", "1h", "spot", ms("2025-01-01"), ms("2025-03-01"))


def scaled(bars: Bars, price: float) -> Bars:
    return dataclasses.replace(bars, values=bars.values * [price, price, price, price, 1])


def test_classic_has_the_published_columns_in_their_order() -> None:
    features = feature_set("classic")
    assert features.columns == ("open", "high", "low", "close", "volume", "sma_7", "sma_14", "sma_30", "rsi")
    assert (features.warmup, features.has_price_level, features.extras) == (29, True, ())
    found = compute_features(features, BARS)
    close = BARS.close.copy()
    assert np.array_equal(found[29:, :5], BARS.values[29:].astype(np.float32))
    for column, window in ((5, 7), (6, 14), (7, 30)):
        assert np.array_equal(found[29:, column], indicators.sma(close, window)[29:].astype(np.float32))
    assert np.array_equal(found[29:, 8], indicators.rsi(close)[29:].astype(np.float32))


def test_relative_is_computed_as_its_names_say() -> None:
    features = feature_set("relative")
    found = dict(zip(features.columns, compute_features(features, BARS)[40].tolist(), strict=True))
    opened, high, low, close, volume = BARS.values[40].tolist()
    before = BARS.values[39].tolist()
    wanted = {
        "log_return": np.log(close / before[3]),
        "range": (high - low) / close,
        "body": (close - opened) / close,
        "sma_7_distance": close / BARS.close[34:41].mean() - 1,
        "sma_14_distance": close / BARS.close[27:41].mean() - 1,
        "sma_30_distance": close / BARS.close[11:41].mean() - 1,
        "rsi": indicators.rsi(BARS.close.copy())[40],
        "macd_share": indicators.macd(BARS.close.copy())[40] / close,
        "atr_share": indicators.atr(BARS.values[:, 1].copy(), BARS.values[:, 2].copy(), BARS.close.copy())[40] / close,
        "volume_change": (volume - before[4]) / (volume + before[4]),
    }
    assert found == pytest.approx(wanted, rel=1e-6)


def test_volatility_is_computed_as_its_names_say() -> None:
    features = feature_set("volatility")
    row = 400
    found = dict(zip(features.columns, compute_features(features, BARS)[row].tolist(), strict=True))
    variance = np.log(BARS.values[:, 1] / BARS.values[:, 2]) ** 2 / (4 * np.log(2))
    volatility = {window: np.sqrt(variance[row + 1 - window : row + 1].mean()) for window in (1, 4, 24, 168)}
    volume, usual = BARS.values[row, 4], BARS.values[row - 23 : row + 1, 4].mean()
    log_return = np.log(BARS.close[row] / BARS.close[row - 1])
    assert {name: found[name] for name in features.columns[:7]} == pytest.approx(
        {
            **{f"log_volatility_{window}": np.log(value) for window, value in volatility.items()},
            "log_return": log_return,
            "return_over_volatility": log_return / volatility[24],
            "volume_share": (volume - usual) / (volume + usual),
        },
        rel=1e-6,
    )
    opens = datetime.fromtimestamp((BARS.time[row] + 3_600_000) / 1000, UTC)  # the next bar
    day = 2 * np.pi * opens.hour / 24
    week = 2 * np.pi * (opens.weekday() * 24 + opens.hour) / 168
    waves = {
        f"day_{k}_{name}": wave(k * day) for k in (1, 2, 3, 4) for name, wave in (("sin", np.sin), ("cos", np.cos))
    }
    waves |= {"week_sin": np.sin(week), "week_cos": np.cos(week)}
    assert {name: found[name] for name in features.columns[7:]} == pytest.approx(waves, abs=1e-6)


def test_a_bar_without_a_range_counts_as_one_of_a_basis_point() -> None:
    bars = bars_at(list(range(200)), [5.0] * 200)
    bars.values[:] = [5.0, 5.0, 5.0, 5.0, 1.0]
    found = compute_features(feature_set("volatility"), bars)[-1, :7]
    floor = 1e-4 / np.sqrt(4 * np.log(2))
    assert found == pytest.approx([*[np.log(floor)] * 4, 0, 0, 0], abs=1e-6)
    bars.values[199, :4] = 10.0  # a step up after a week of standing still
    jumped = compute_features(feature_set("volatility"), bars)[-1]
    assert jumped[4:6] == pytest.approx([np.log(2), 10])


@pytest.mark.parametrize("name", FEATURE_SETS)
def test_features_are_float32_in_rows_and_valid_from_the_warm_up_of_each_segment(name: str) -> None:
    gappy = BARS.take(np.setdiff1d(np.arange(len(BARS)), [200, 201, 220, 600]))
    features = feature_set(name)
    warmup = 167 if name == "volatility" else 29
    assert features.warmup == warmup
    found = compute_features(features, gappy)
    assert found.dtype == np.float32
    assert found.shape == (len(gappy), len(features.columns))
    assert found.flags.c_contiguous
    invalid = np.isnan(found)
    assert (invalid.any(axis=1) == invalid.all(axis=1)).all()
    starts = [0, 200, 218, 597]  # the segment of 18 rows has no valid one
    expected = [*range(warmup), *range(200, 218), *range(218, 218 + warmup), *range(597, 597 + warmup)]
    assert segment_starts(gappy).tolist() == starts
    assert np.flatnonzero(invalid.any(axis=1)).tolist() == expected
    assert np.isfinite(found[~invalid.any(axis=1)]).all()


@pytest.mark.parametrize("name", FEATURE_SETS)
def test_a_segment_is_computed_as_if_there_were_no_other(name: str) -> None:
    features = feature_set(name)
    gappy = BARS.take(np.setdiff1d(np.arange(len(BARS)), [400]))
    alone = compute_features(features, gappy.rows(400, len(gappy)))
    assert np.array_equal(compute_features(features, gappy)[400:], alone, equal_nan=True)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(FEATURE_SETS), st.integers(0, len(BARS)))
def test_cutting_the_future_off_changes_nothing_before_the_cut(name: str, cut: int) -> None:
    features = feature_set(name)
    whole, past = compute_features(features, BARS), compute_features(features, BARS.rows(0, cut))
    assert np.array_equal(whole[:cut], past, equal_nan=True)


@pytest.mark.parametrize("name", FEATURE_SETS)
def test_what_lies_before_the_memory_is_forgotten(name: str) -> None:
    features = feature_set(name)
    whole = compute_features(features, BARS)
    late = compute_features(features, BARS.rows(500, len(BARS)))
    difference = np.abs(late[features.memory :] - whole[500 + features.memory :])
    assert (difference <= 1e-6 * np.abs(whole[500 + features.memory :]).max(axis=0)).all()


@pytest.mark.parametrize("price", [1e-8, 1e5])
def test_relative_and_volatility_are_free_of_the_price_level_and_classic_moves_with_it(price: float) -> None:
    for name in ("relative", "volatility"):
        features = feature_set(name)
        at_one, at_price = compute_features(features, BARS), compute_features(features, scaled(BARS, price))
        assert np.nanmax(np.abs(at_price - at_one)) < 1e-5
        assert not features.has_price_level
    classic = feature_set("classic")
    levels = [compute_features(classic, bars)[100:, [0, 3, 5, 7]] for bars in (BARS, scaled(BARS, price))]
    assert np.allclose(levels[1] / levels[0], price)


def test_bars_without_volume_or_movement_have_finite_features() -> None:
    flat = bars_at(list(range(200)), [5.0] * 200)
    flat.values[:] = [5.0, 5.0, 5.0, 5.0, 0.0]
    for name in FEATURE_SETS:
        features = feature_set(name)
        assert np.isfinite(compute_features(features, flat)[features.warmup :]).all()


def test_columns_of_the_users_own_come_last_and_are_taken_as_they_are() -> None:
    features = feature_set("relative,+rate, +open_interest")
    assert features.name == "relative,+rate,+open_interest"
    assert features.columns[-2:] == ("rate", "open_interest")
    rate = np.arange(len(BARS), dtype=np.float64)
    found = compute_features(features, dataclasses.replace(BARS, extra={"open_interest": rate * 2, "rate": rate}))
    assert np.array_equal(found[29:, -2:], np.column_stack([rate, 2 * rate])[29:].astype(np.float32))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("clasic", "feature set 'clasic' is unknown; did you mean classic"),
        ("x", "choose one of classic, relative, volatility"),
        ("classic,rate", r"'rate' is not \+COLUMN; write classic,\+funding_rate"),
        ("classic,+", "is not"),
        ("classic,+a,+a", "column a is named twice"),
    ],
)
def test_an_unknown_name_is_a_spec_error(text: str, problem: str) -> None:
    with pytest.raises(SpecError, match=problem):
        feature_set(text)


def test_the_hash_tells_sets_apart_and_stays() -> None:
    names = ["classic", "relative", "volatility", "classic,+a", "classic,+b", "classic,+a,+b"]
    hashes = [feature_hash(feature_set(name)) for name in names]
    assert len(set(hashes)) == 6
    assert all(len(text) == 16 for text in hashes)
    assert hashes[0] == feature_hash(feature_set(" classic"))


def test_real_bars_with_outages_have_features_in_every_segment(shared_bars: Path) -> None:
    start, as_of = ms("2020-09-20"), ms("2025-09-19T23:00")
    raw = FilesSource(str(shared_bars / "spot"), MemoryStore()).fetch("BTCUSDT", "1h", "spot", start, as_of)
    bars, report = check_bars(raw, start, as_of)
    for name in FEATURE_SETS:
        features = feature_set(name)
        starts = [*segment_starts(bars), len(bars)]
        undefined = sum(min(features.warmup, stop - start) for start, stop in pairwise(starts))
        assert int(np.isnan(compute_features(features, bars)).any(axis=1).sum()) == undefined
        assert len(starts) == report.gaps + 2
