from __future__ import annotations

import math

import numpy as np
import pytest

from trainer.evaluate.drift import FEWEST_ROWS, stability_index, stability_indices


def test_the_same_population_is_stable_and_a_moved_one_is_not() -> None:
    rng = np.random.default_rng(0)
    before = rng.normal(size=4_000)
    assert stability_index(before, rng.normal(size=720)) < 0.1
    assert stability_index(before, rng.normal(loc=1.0, size=720)) > 0.25


def test_two_halves_have_the_index_of_its_formula() -> None:
    before, since = np.repeat([0.0, 1.0], [500, 500]), np.repeat([0.0, 1.0], [250, 750])
    expected = (0.25 - 0.5) * math.log(0.25 / 0.5) + (0.75 - 0.5) * math.log(0.75 / 0.5)
    assert stability_index(before, since) == pytest.approx(expected, rel=1e-3)


def test_too_few_rows_and_undefined_ones_say_nothing() -> None:
    values = np.column_stack([np.arange(500.0), np.full(500, np.nan)])
    assert [name for name, _ in stability_indices(["a", "b"], values, values[:FEWEST_ROWS])] == ["a"]
    assert list(stability_indices(["a"], values, values[: FEWEST_ROWS - 1])) == []
