"""Tables as the world writes them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from atb.errors import DataError
from trainer.bars.bounds import unzip
from trainer.bars.files.delimited import read_csv
from trainer.bars.files.table import bars_from_table
from trainer.bars.rows import bars_from_rows, times_in_ms

AT = 1_735_689_600_000


@pytest.mark.parametrize("factor", [1e-3, 1, 1e3, 1e6])
def test_times_in_every_unit_come_out_in_milliseconds(factor: float) -> None:
    times = np.array([round(AT * factor), round((AT + 3_600_000) * factor)], np.int64)
    assert times_in_ms(times, "x").tolist() == [AT, AT + 3_600_000]


@pytest.mark.parametrize("time", [0, -1, 12_345, 9_999_999_999, AT * 10, AT * 10_000, 2**63 - 1])
def test_a_time_outside_every_unit_is_refused_and_never_the_year_56971(time: int) -> None:
    with pytest.raises(DataError, match=f"a.csv: the time {time} is in no unit between 2009 and 2100"):
        times_in_ms(np.array([AT, time]), "a.csv")


@pytest.mark.parametrize(
    "times",
    [
        pa.array([AT], pa.timestamp("ms", "UTC")),
        pa.array([AT], pa.timestamp("ms")),
        pa.array([AT * 1000], pa.timestamp("us")),
        pa.array([AT * 1_000_000], pa.timestamp("ns", "UTC")),
        pa.array([AT // 1000], pa.timestamp("s")),
        pa.array([AT], pa.timestamp("ms", "Asia/Tokyo")),
        pa.array(["2025-01-01T00:00:00Z"]),
        pa.array([AT // 86_400_000], pa.date32()),
        pa.array([AT / 1000]),
        pa.array([AT]),
    ],
)
def test_any_type_of_time_column_is_read(times: pa.Array) -> None:
    table = pa.table({"date": times, **{name: [1.0] for name in ("open", "high", "low", "close", "volume")}})
    assert bars_from_table(table, "X", "1d", "x").time.tolist() == [AT]


def test_a_csv_without_a_header_has_the_archives_columns() -> None:
    line = b"1735689600000000,1,2,0.5,1.5,10,1735693199999999,15,7,5,7.5,0\n"
    bars = bars_from_table(read_csv(line, "x"), "X", "1h", "x")
    assert bars.time.tolist() == [AT]
    assert bars.values.tolist() == [[1, 2, 0.5, 1.5, 10]]
    assert {name: column[0] for name, column in bars.extra.items()} == {
        "quote_volume": 15, "trades": 7, "taker_buy_volume": 5, "taker_buy_quote_volume": 7.5,
    }  # fmt: skip


def test_both_spellings_of_a_column_come_out_as_one() -> None:
    text = b"Open_time,Open,High,Low,Close,Volume,count,taker_buy_volume\n1735689600000,1,2,0.5,1.5,10,7,5\n"
    assert sorted(bars_from_table(read_csv(text, "x"), "X", "1h", "x").extra) == ["taker_buy_volume", "trades"]


def test_missing_values_are_left_for_the_checks_to_count() -> None:
    text = b"timestamp,open,high,low,close,volume\n2025-01-01T00:00:00Z,1,2,0.5,,10\n"
    assert np.isnan(bars_from_table(read_csv(text, "x"), "X", "1h", "x").close[0])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"timestamp,open,high,low,close\n1735689600000,1,1,1,1\n", "no column volume; there are timestamp, open"),
        (b"open,high,low,close,volume\n1,1,1,1,1\n", "no column timestamp"),
        (b"timestamp,open,high,low,close,volume\n1735689600000,1,1,1,one,1\n", "column close is not numeric"),
        (b"timestamp,open,high,low,close,volume\nyesterday,1,1,1,1,1\n", "times can't be read"),
        (b"timestamp,open,high,low,close,volume\n,1,1,1,1,1\n1735689600000,1,1,1,1,1\n", "1 of 2 rows have no time"),
        (b"a,b\n1,2,3\n", "not a table of bars"),
        (b"", "not a table of bars"),
    ],
)
def test_an_unreadable_file_is_named_in_one_line(text: bytes, problem: str) -> None:
    with pytest.raises(DataError, match=f"x.csv.*{problem}") as caught:
        bars_from_table(read_csv(text, "x.csv"), "X", "1h", "x.csv")
    assert "\n" not in str(caught.value)


def test_an_invalid_zip_is_a_data_error() -> None:
    with pytest.raises(DataError, match=r"x\.zip is not a complete zip"):
        unzip(b"PK\x03\x04", "x.zip")


def test_rows_of_text_and_numbers_become_bars_and_anything_else_an_error() -> None:
    names = ("open_time", "open", "high", "low", "close", "volume")
    assert bars_from_rows([[AT, "1", "2", "0.5", "1.5", "10"]], names, "X", "1h", "x").close.tolist() == [1.5]
    assert len(bars_from_rows([], names, "X", "1h", "x")) == 0
    with pytest.raises(DataError, match="x did not answer with rows of 6 numbers"):
        bars_from_rows([[AT, "1", "2"]], names, "X", "1h", "x")
