"""Bars from a user's own files."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet
import pytest

from atb.errors import DataError, SpecError
from atb.storage import DirectoryStore, MemoryStore, Store
from atb.storage.fingerprints import changed_origin
from tests.exchange.archive_files import csv_text, zip_bytes
from tests.trainer.bars.builders import HOUR, T0, bars_at
from trainer.bars.files import FilesSource
from trainer.bars.frame import COLUMNS, Bars

BARS = bars_at(list(range(6)))


def table(bars: Bars, time_name: str = "timestamp", unit: str = "ms") -> pa.Table:
    times = pa.array(bars.time, pa.timestamp("ms", "UTC")).cast(pa.timestamp(unit, "UTC"))
    return pa.table({time_name: times, **{name: bars.values[:, i] for i, name in enumerate(COLUMNS)}})


def read(folder: Path | str, symbol: str = "XUSDT", store: Store | None = None) -> Bars:
    return FilesSource(str(folder), store or MemoryStore()).fetch(symbol, "1h", "spot", T0, T0 + 6 * HOUR)


@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("XUSDT_1h.parquet", "XUSDT"),
        ("XUSDT-1h.parquet", "XUSDT"),
        ("XUSDT.parquet", "XUSDT"),
        ("X_USDT-1h.parquet", "X/USDT"),
        ("X_USDT_USDT-1h-futures.parquet", "X/USDT:USDT"),
        ("x_usdt_1h.parquet", "XUSDT"),
    ],
)
def test_a_file_is_found_under_each_usual_name(tmp_path: Path, name: str, symbol: str) -> None:
    pa.parquet.write_table(table(BARS), tmp_path / name)
    pa.parquet.write_table(table(BARS.rows(0, 1)), tmp_path / name.replace("1h", "4h").replace("X", "Y"))
    assert read(tmp_path, symbol).digest == BARS.digest


@pytest.mark.parametrize(("symbol", "right"), [("xusdt", "XUSDT"), ("xUSDT", "XUSDT"), ("x/usdt", "X/USDT")])
@pytest.mark.parametrize("name", ["XUSDT_1h.parquet", "x_usdt_1h.parquet"])
def test_one_file_has_no_second_model_under_a_symbol_in_small_letters(
    tmp_path: Path, name: str, symbol: str, right: str
) -> None:
    pa.parquet.write_table(table(BARS), tmp_path / name)
    with pytest.raises(SpecError, match=f"in capitals; write {right}$"):
        read(tmp_path, symbol)
    assert read(tmp_path, right).digest == BARS.digest


def test_a_name_without_a_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "XUSDT_1h.parquet").mkdir()
    with pytest.raises(DataError, match=r"XUSDT_1h\.parquet is not a plain file"):
        read(tmp_path)


def test_freqtrades_feather_with_its_date_column_is_read(tmp_path: Path) -> None:
    pa.feather.write_feather(table(BARS, "date", "ns"), str(tmp_path / "X_USDT-1h.feather"))
    assert read(tmp_path).digest == BARS.digest


def test_a_csv_of_ours_and_a_compressed_one_are_read(tmp_path: Path) -> None:
    pa.csv.write_csv(table(BARS), tmp_path / "XUSDT_1h.csv")
    assert read(tmp_path).digest == BARS.digest
    import gzip

    (tmp_path / "XUSDT_1h.csv.gz").write_bytes(gzip.compress((tmp_path / "XUSDT_1h.csv").read_bytes()))
    (tmp_path / "XUSDT_1h.csv").unlink()
    assert read(tmp_path).digest == BARS.digest


@pytest.mark.parametrize(("header", "microseconds"), [(True, True), (False, True), (True, False), (False, False)])
def test_the_archives_files_are_joined_with_their_extra_columns(
    tmp_path: Path, header: bool, microseconds: bool
) -> None:
    for when, part in (("2025-01", BARS.rows(0, 4)), ("2025-02", BARS.rows(4, 6))):
        text = csv_text(part, header=header, microseconds=microseconds)
        (tmp_path / f"XUSDT-1h-{when}.zip").write_bytes(zip_bytes(f"XUSDT-1h-{when}.zip", text))
    bars = read(tmp_path)
    assert dataclasses.replace(bars, extra={}).digest == BARS.digest
    assert sorted(bars.extra) == ["quote_volume", "taker_buy_quote_volume", "taker_buy_volume", "trades"]


def test_other_numeric_columns_come_along_and_text_does_not(tmp_path: Path) -> None:
    with_more = table(BARS).append_column("funding_rate", pa.array(np.arange(6.0))).append_column("note", ["a"] * 6)
    pa.parquet.write_table(with_more, tmp_path / "XUSDT_1h.parquet")
    assert {name: column.tolist() for name, column in read(tmp_path).extra.items()} == {"funding_rate": list(range(6))}


def test_only_the_window_is_handed_on(tmp_path: Path) -> None:
    pa.parquet.write_table(table(bars_at(list(range(-5, 20)))), tmp_path / "XUSDT_1h.parquet")
    assert read(tmp_path).time.tolist() == BARS.time.tolist()


def test_of_many_files_only_the_windows_rows_are_kept_and_only_their_columns_count(tmp_path: Path) -> None:
    for month, rows, more in (("2023-10", BARS.rows(0, 3), False), ("2023-11", BARS.rows(3, 6), True)):
        part = table(rows).append_column("x", pa.array([1.0, 2.0, 3.0])) if more else table(rows)
        pa.parquet.write_table(part.take([2, 0, 1]), tmp_path / f"XUSDT-1h-{month}.parquet")
    source = FilesSource(str(tmp_path), MemoryStore())
    inside = source.fetch("XUSDT", "1h", "spot", T0 + 3 * HOUR, T0 + 5 * HOUR)
    assert (sorted(inside.time), inside.extra["x"].tolist()) == ([T0 + 3 * HOUR, T0 + 4 * HOUR], [1.0, 2.0])
    assert read(tmp_path).extra == {}
    with pytest.raises(DataError, match=r"holds 2023-11-14 23:00 … 2023-11-15 04:00; choose"):
        source.fetch("XUSDT", "1h", "spot", T0 - 9 * HOUR, T0)


def test_files_in_the_store_are_read_and_a_replaced_one_is_noticed(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "XUSDT_1h.parquet"
    pa.parquet.write_table(table(BARS), path)
    store.put_file("mine/bars/XUSDT_1h.parquet", path)
    bars = read("store:mine/bars", store=store)
    assert bars.digest == BARS.digest
    assert changed_origin(bars.origins, store) is None
    store.put("mine/bars/XUSDT_1h.parquet", b"another")
    assert changed_origin(bars.origins, store) == "store:mine/bars/XUSDT_1h.parquet has changed"


def test_a_touched_file_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "XUSDT_1h.parquet"
    pa.parquet.write_table(table(BARS), path)
    bars = read(tmp_path)
    assert changed_origin(bars.origins, MemoryStore()) is None
    pa.parquet.write_table(table(BARS.rows(0, 3)), path)
    assert changed_origin(bars.origins, MemoryStore()) == f"file:{path} has changed"


def test_a_file_in_a_deeper_folder_answers_to_no_symbol(tmp_path: Path) -> None:
    for store in (MemoryStore(), DirectoryStore(tmp_path / "store")):
        for key in ("XUSDT_1h.parquet", "mine/um/XUSDT_1h.parquet"):
            pa.parquet.write_table(table(BARS), tmp_path / "a.parquet")
            store.put(key, (tmp_path / "a.parquet").read_bytes())
        for folder in ("mine/um/", "/"):
            assert read(f"store:{folder}", store=store).digest == BARS.digest
        for folder in ("mine", "./mine/um", "mine//um", "..", "a\0b"):
            with pytest.raises(DataError, match=r"no file XUSDT_1h.parquet|is not a directory") as caught:
                read(f"store:{folder}", store=store)
            assert "\n" not in str(caught.value)


def test_an_absent_file_a_broken_one_and_a_wrong_window_are_each_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"XUSDT: no file XUSDT_1h.parquet, .feather, .csv, .csv.gz or .zip in"):
        read(tmp_path)
    with pytest.raises(DataError, match="there is no directory /nowhere"):
        read("/nowhere")
    (tmp_path / "XUSDT_1h.parquet").write_bytes(b"PAR1 not")
    with pytest.raises(DataError, match=r"XUSDT_1h.parquet can't be read"):
        read(tmp_path)
    pa.parquet.write_table(table(bars_at([100, 101])), tmp_path / "XUSDT_1h.parquet")
    with pytest.raises(DataError, match=r"holds 2023-11-19 03:00 … 2023-11-19 04:00; choose --as-of"):
        read(tmp_path)
