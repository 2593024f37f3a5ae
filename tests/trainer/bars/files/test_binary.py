"""Parquet files that unpack to more than they are."""

from __future__ import annotations

import io
import resource
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from atb.errors import DataError
from trainer.bars.files.binary import read_parquet_file


def packed(columns: dict[str, Any], **options: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out, compression="zstd", **options)
    return out.getvalue()


def test_numbers_texts_and_dictionaries_are_read() -> None:
    columns = {
        "close": [1.0, 2.0],
        "time": ["2026-01-01", "2026-01-02"],
        "kind": pa.array(["a", "b"]).dictionary_encode(),
    }
    table = read_parquet_file(packed(columns), "x.parquet")
    assert table["close"].to_pylist() == [1.0, 2.0]
    assert [str(text) for text in table["time"].to_pylist()] == ["2026-01-01", "2026-01-02"]
    assert read_parquet_file(packed({"close": [1.0]}), "x.parquet").num_rows == 1


@pytest.mark.parametrize("known", [True, False], ids=["as a dictionary", "as texts"])
def test_a_long_value_in_each_row_is_bounded_apart(known: bool) -> None:
    long = "x" * (1 << 20)
    values = pa.DictionaryArray.from_arrays(pa.array([0] * 20_000, pa.int32()), pa.array([long]))
    data = packed({"symbol": values}, store_schema=known)
    assert len(data) < 1 << 20
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError, match=r"x\.parquet takes more than 2048 MiB to read"):
        read_parquet_file(data, "x.parquet")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 20, "in KiB"


def test_more_numbers_than_a_file_may_hold_are_refused_before_they_are_unpacked() -> None:
    columns = {f"c{number}": pa.nulls(2_000_000, pa.float64()) for number in range(40)}
    with pytest.raises(DataError, match="holds more than 512 MiB"):
        read_parquet_file(packed(columns), "x.parquet")


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1" + b"\0" * 100 + b"PAR1"])
def test_a_broken_file_is_one_line(data: bytes) -> None:
    with pytest.raises(DataError, match=r"x\.parquet can't be read: ") as caught:
        read_parquet_file(data, "x.parquet")
    assert "\n" not in str(caught.value)
