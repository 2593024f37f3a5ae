"""Parquet and Arrow columns as NumPy arrays and back, without pandas.

Arrow's own ways load pandas to see whether it has been given any of its: as long as the rest of a job's data loading,
and 40 MB.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq


def read_parquet(data: bytes) -> pa.Table:
    """The table in a Parquet file. Raises ArrowInvalid or OSError where it is not one."""
    return pq.ParquetFile(pa.BufferReader(data)).read()


def array_of(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    """A column of numbers, read-only; a float's null is NaN. Raises ArrowInvalid for another's null."""
    if column.null_count:
        if not pa.types.is_floating(column.type):
            raise pa.ArrowInvalid(f"{column.null_count} nulls in a column of {column.type}")
        column = column.fill_null(float("nan"))
    return np.from_dlpack(column.combine_chunks())


def column_of(values: npt.NDArray[Any]) -> pa.Array:
    """A column of the same numbers, without a null."""
    buffer = pa.py_buffer(np.ascontiguousarray(values))
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [None, buffer])
