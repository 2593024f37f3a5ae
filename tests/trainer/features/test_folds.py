from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atb.errors import DataError
from trainer.features.folds import walk_forward
from trainer.features.windows import split_windows

ONE_SEGMENT = np.zeros(1, np.int64)


@given(st.integers(600, 3_000), st.integers(0, 100), st.integers(2, 40), st.integers(1, 5), st.integers(1, 5))
def test_each_fold_learns_from_the_past_of_its_own_test_rows(
    rows: int, first_row: int, length: int, horizon: int, count: int
) -> None:
    features = np.zeros((rows, 1), np.float32)
    try:
        folds = list(walk_forward(features, ONE_SEGMENT, first_row, length, horizon, count))
    except DataError:
        assert rows < 150 * (length + horizon)
        return
    assert len(folds) == count
    for fold in folds:
        assert fold.train[0] - length + 1 >= first_row
        assert fold.train[-1] + horizon < fold.validation[0] - length + 1
        assert fold.validation[-1] + horizon < fold.test[0] - length + 1
        assert fold.purged == 2 * (length - 1 + horizon)
    for earlier, later in pairwise(folds):
        assert earlier.test[-1] + horizon < later.test[0] - length + 1
        assert len(later.train) > len(earlier.train)
    assert folds[-1].test[-1] + horizon == rows - 1


def test_test_stretches_are_equal_and_cover_the_last_part() -> None:
    features = np.zeros((4_320, 1), np.float32)
    folds = list(walk_forward(features, ONE_SEGMENT, 0, 60, 1, 5))
    assert {len(fold.test) for fold in folds} <= {458, 459}
    assert folds[0].validation_stop == 4_320 - int(0.6 * 4_320)


def test_too_many_folds_for_the_rows_are_refused() -> None:
    with pytest.raises(DataError, match="test part has no window"):
        list(walk_forward(np.zeros((900, 1), np.float32), ONE_SEGMENT, 0, 60, 1, 20))


def test_the_plain_split_is_as_before() -> None:
    split = split_windows(np.zeros((1_000, 1), np.float32), ONE_SEGMENT, 0, 10, 1)
    assert (split.train_stop, split.validation_stop) == (700, 850)
    assert (len(split.train), len(split.validation), len(split.test), split.purged) == (690, 140, 140, 20)
