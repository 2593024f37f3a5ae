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

from trainer.bars.bounds import WIDEST, bounded, bounded_rows


def read_parquet(data: bytes, where: str) -> pa.Table:
    """The table of numbers in a Parquet file, read in this process: what it unpacks to follows from its rows and types.

    Raises DataError where that is too much, ArrowNotImplementedError where a column is no number or time, and
    ArrowException or OSError where it is broken.
    """
    file = pq.ParquetFile(pa.BufferReader(data))
    rows = max(file.metadata.num_rows, sum(file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)))
    bounded_rows(rows, where)
    for field in file.schema_arrow:
        if not (pa.types.is_primitive(field.type) or pa.types.is_null(field.type)):
            raise pa.ArrowNotImplementedError(f"column {field.name!a} is of {str(field.type)[:80]}")
    bounded(rows * len(file.schema_arrow) * WIDEST, where)
    return file.read(use_threads=False)


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
