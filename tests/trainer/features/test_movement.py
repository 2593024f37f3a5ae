"""Data from which nothing can be learnt are refused before training, with dates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from atb.contract.features import FEATURE_SETS
from atb.contract.spec import resolve_spec
from atb.errors import DataError
from tests.trainer.bars.conftest import ms
from trainer.bars.frame import VOLUME, Bars, Floats
from trainer.bars.sample import SampleSource
from trainer.features.movement import validate_movement, validate_targets
from trainer.features.sets import compute_features, feature_set
from trainer.features.targets import target_values
from trainer.features.windows import split_windows

BARS = SampleSource().fetch("XUSDT", "1h", "spot", ms("2026-01-01"), ms("2026-02-01"))
ROWS = len(BARS)
TRAIN, VALIDATION, TEST = slice(30, 529), slice(529, 636), slice(636, ROWS)


def flat(rows: slice, columns: slice = slice(0, VOLUME)) -> Callable[[Floats], None]:
    """The values of some rows made those of the first of them."""

    def spoil(values: Floats) -> None:
        values[rows, columns] = values[rows, 3][0]

    return spoil


def validate(spoil: Callable[[Floats], None], named: str = "classic") -> None:
    values = BARS.values.copy()
    spoil(values)
    bars: Bars = replace(BARS, values=values, extra={"rate": values[:, VOLUME].copy()})
    features = feature_set(named)
    table = compute_features(features, bars)
    validate_movement(bars, table, features.columns, split_windows(table, np.zeros(1, np.int64), 30, 16, 1))


@pytest.mark.parametrize("named", [name for name in FEATURE_SETS if name != "volatility"])
def test_a_market_passes(named: str) -> None:
    validate(lambda values: None, named)


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (
            flat(slice(0, 600)),
            "moves in 0 of 498 bars of the train part, 2026-01-02T06:00Z to 2026-01-23T00:00Z",
        ),
        (flat(slice(0, 515)), "bars of the train part, .*; choose another --start or --as-of"),
        (flat(VALIDATION), "the price moves in 0 of 106 bars of the validation part, 2026-01-23T01:00Z to"),
        (flat(TEST), "the price moves in 0 of 107 bars of the test part, .* to 2026-01-31T23:00Z"),
        (flat(slice(0, ROWS), slice(VOLUME, None)), "volume does not move in the train part, .*: it is always"),
        (flat(slice(0, 600), slice(VOLUME, None)), "volume does not move in the train part"),
    ],
)
def test_what_does_not_move_is_refused_with_dates(spoil: Callable[[Floats], None], problem: str) -> None:
    with pytest.raises(DataError, match=f"^XUSDT 1h: .*{problem}") as caught:
        validate(spoil)
    assert "\n" not in str(caught.value)


def test_a_column_of_a_file_that_does_not_move_is_named() -> None:
    with pytest.raises(DataError, match="volume does not move"):
        validate(flat(slice(0, ROWS), slice(VOLUME, None)), "classic,+rate")

    def level(values: Floats) -> None:
        values[:, VOLUME] = 1e6 + 1e-4 * np.arange(ROWS)

    with pytest.raises(DataError, match=r"volume does not move in the train part, .*: it is always 1e\+06"):
        validate(level)


def part_targets(spoil: Callable[[Floats], None], **options: Any) -> None:
    """The targets of bars, checked as a job checks them."""
    values = BARS.values.copy()
    spoil(values)
    bars = replace(BARS, values=values)
    spec = resolve_spec("XUSDT", "fast", {"source": "sample", "sequence_length": 16, **options})
    features = feature_set("classic")
    split = split_windows(compute_features(features, bars), np.zeros(1, np.int64), 30, 16, spec.horizon)
    ends = {"train": split.train, "validation": split.validation, "test": split.test}
    validate_targets(bars, {part: target_values(spec, bars, rows) for part, rows in ends.items()}, ends)


def wave(values: Floats) -> None:
    values[:, :VOLUME] = (100 + np.sin(2 * np.pi * np.arange(ROWS) / 24))[:, None]


def without_ranges(rows: slice) -> Callable[[Floats], None]:
    def spoil(values: Floats) -> None:
        values[rows, :3] = values[rows, 3:4]

    return spoil


VOLATILITY = {"target": "volatility", "features": "classic", "residual": "none"}


@pytest.mark.parametrize("options", [{}, {"horizon": 24}, VOLATILITY])
def test_the_targets_of_a_market_pass(options: dict[str, Any]) -> None:
    part_targets(lambda values: None, **options)


@pytest.mark.parametrize(
    ("spoil", "options", "problem"),
    [
        (flat(slice(650, ROWS)), {}, "is the same, 0, in 92 of 92 windows of the test part, 2026-01-2.* to 2026-01-31"),
        (
            flat(slice(545, 636)),
            {},
            "windows of the validation part, .*; choose another --start, --as-of, --horizon or",
        ),
        (flat(slice(60, 529)), {}, "of 483 windows of the train part"),
        (wave, {"horizon": 24}, "is the same, 0, in 460 of 460 windows of the train part"),
        (without_ranges(slice(0, ROWS)), VOLATILITY, "is the same, -9.72023, in 483 of 483 windows of the train part"),
        (without_ranges(VALIDATION), VOLATILITY, "in 91 of 91 windows of the validation part"),
        (without_ranges(TEST), VOLATILITY, "in 92 of 92 windows of the test part"),
    ],
)
def test_targets_that_are_all_the_same_are_refused_with_dates(
    spoil: Callable[[Floats], None], options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(DataError, match=f"^XUSDT 1h: what is forecast .*{problem}") as caught:
        part_targets(spoil, **options)
    assert "\n" not in str(caught.value)
