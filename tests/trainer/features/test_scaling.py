"""Scaling, fitted on train rows and carried with the model."""

from __future__ import annotations

import json

import numpy as np
import pytest

from atb.errors import DataError
from trainer.features.scaling import Scaler, TargetScaler

RNG = np.random.default_rng(0)


def test_fitted_rows_have_mean_0_and_deviation_1_at_every_level() -> None:
    x = RNG.normal([1e-8, 1, 1e5, 1e12], [1e-10, 3, 100, 1e9], (5000, 4)).astype(np.float32)
    scaled = Scaler.fit(x).transform(x)
    assert scaled.dtype == np.float32
    assert np.abs(scaled.mean(axis=0, dtype=np.float64)).max() < 1e-4
    assert np.abs(scaled.std(axis=0, dtype=np.float64) - 1).max() < 1e-4


@pytest.mark.parametrize("undefined", [(), (0, 1, 2), (0, 5_000, 9_999)], ids=["none", "warm-up", "gaps"])
def test_the_numbers_are_numpys_to_the_last_bit_however_many_rows_are_taken_at_a_time(undefined: list[int]) -> None:
    x = RNG.normal([1e-8, 1, 1e5], [1e-10, 3, 100], (10_000, 3)).astype(np.float32)
    x[list(undefined)] = np.nan
    scaler, defined = Scaler.fit(x), x[~np.isnan(x).any(axis=1)]
    assert np.array_equal(scaler.mean, defined.mean(axis=0, dtype=np.float64))
    assert np.array_equal(scaler.scale, defined.std(axis=0, dtype=np.float64))
    plain = ((x - scaler.mean) / scaler.scale).astype(np.float32)
    assert np.array_equal(scaler.transform(x), plain, equal_nan=True)


def test_rows_with_an_undefined_feature_are_not_fitted_on_and_stay_undefined() -> None:
    x = np.array([[np.nan, 1], [1, 2], [3, 4]], np.float32)
    scaler = Scaler.fit(x)
    assert scaler.mean.tolist() == [2, 3]
    assert np.isnan(scaler.transform(x)[0, 0])
    with pytest.raises(DataError, match="no row to fit the scaler on"):
        Scaler.fit(x[:1])


@pytest.mark.parametrize("level", [0.0, 1e-8, 0.1, 123456.789])
def test_a_column_that_does_not_move_becomes_0_and_not_infinite(level: float) -> None:
    x = np.full((1000, 1), level, np.float32)
    assert np.abs(Scaler.fit(x).transform(x)).max() < 1e-6


def test_windows_scale_as_rows_do() -> None:
    x = RNG.normal(size=(10, 3)).astype(np.float32)
    scaler = Scaler.fit(x)
    assert np.array_equal(scaler.transform(x.reshape(2, 5, 3)).reshape(10, 3), scaler.transform(x))


def test_scalers_come_back_from_json_exactly() -> None:
    scaler = Scaler.fit(RNG.normal(size=(50, 3)))
    again = Scaler.from_dict(json.loads(json.dumps(scaler.to_dict())))
    assert np.array_equal(again.mean, scaler.mean)
    assert np.array_equal(again.scale, scaler.scale)
    target = TargetScaler.fit(RNG.normal(size=50))
    assert TargetScaler.from_dict(json.loads(json.dumps(target.to_dict()))) == target


def test_prices_come_back_from_scaled_returns_once() -> None:
    last = np.array([100.0, 1e-8, 1e5])
    later = last * [1.01, 0.98, 1.0]
    returns = np.log(later / last)
    target = TargetScaler.fit(returns)
    scaled = target.transform(returns)
    assert np.allclose(target.inverse_transform(scaled), returns, rtol=0, atol=1e-8)
    assert np.allclose(target.price(scaled, last), later, rtol=1e-7)
    assert scaled.dtype == np.float32


def test_returns_that_are_all_equal_scale_to_0_and_none_to_an_error() -> None:
    target = TargetScaler.fit(np.full(10, 0.01))
    scaled = target.transform(np.full(10, 0.01))
    assert np.abs(scaled).max() < 1e-15
    assert target.scale == 1
    with pytest.raises(DataError, match="no train window"):
        TargetScaler.fit(np.array([]))
