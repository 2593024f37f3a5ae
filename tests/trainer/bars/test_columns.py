"""Columns to arrays and back."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trainer.bars.columns import array_of, column_of, read_parquet


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64])
def test_numbers_come_back_as_they_were(kind: type) -> None:
    values: npt.NDArray[Any] = np.arange(12).astype(kind).reshape(6, 2)[:, 1]  # not contiguous
    buffer = io.BytesIO()
    pq.write_table(pa.table({"x": column_of(values)}), buffer)
    found = array_of(read_parquet(buffer.getvalue(), "x.parquet")["x"])
    assert found.dtype == kind
    assert found.tolist() == [1, 3, 5, 7, 9, 11]


def test_a_column_in_many_parts_or_none_is_one_array() -> None:
    parts = pa.chunked_array([pa.array([1.0]), pa.array([], pa.float64()), pa.array([2.0, 3.0])])
    assert array_of(parts).tolist() == [1.0, 2.0, 3.0]
    assert array_of(pa.chunked_array([], pa.float64())).tolist() == []


def test_a_null_is_not_a_number_or_an_error() -> None:
    np.testing.assert_array_equal(array_of(pa.chunked_array([[1.0, None]])), [1.0, np.nan])
    with pytest.raises(pa.ArrowInvalid, match="1 nulls in a column of int64"):
        array_of(pa.chunked_array([[1, None]]))
