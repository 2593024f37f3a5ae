"""Rows of one series: what a file says of their market, timeframe and kind of time is never ignored."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from atb.errors import DataError
from atb.storage import MemoryStore
from tests.trainer.bars.builders import HOUR
from tests.trainer.bars.files.test_everyday_files import PRICES, ROWS, START, TIMES, csv_text, read
from trainer.bars.files import FilesSource
from trainer.bars.frame import COLUMNS


def with_column(name: str, values: Sequence[object]) -> str:
    """The bars with one more column."""
    lines = csv_text().splitlines()
    return "\n".join(
        [f"{lines[0]},{name}", *(f"{line},{value}" for line, value in zip(lines[1:], values, strict=True))]
    )


def halves(first: object, second: object) -> list[object]:
    return [first] * (ROWS // 2) + [second] * (ROWS - ROWS // 2)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("symbol", halves(1, 2)),
        ("product_id", halves(17, 4)),
        ("token", halves("A", "B")),
        ("Name", halves("A", "B")),
        ("base", halves("A", "B")),
        ("Base Currency", halves("A", "B")),
        ("side", ["bid", "ask"] * (ROWS // 2)),
        ("price_type", halves("mark", "index")),
        ("venue", halves("a", "b")),
    ],
)
def test_a_column_that_tells_rows_apart_in_a_way_that_is_not_understood_is_refused(
    name: str, values: list[object], tmp_path: Path
) -> None:
    shown = ", ".join(dict.fromkeys(map(str, values)))
    with pytest.raises(DataError, match=f"column {name} holds rows of {shown}; give a file of one of them"):
        read(tmp_path, "XUSDT_1h.csv", with_column(name, values))


def test_markets_that_a_parquet_files_bytes_name_are_told_apart(tmp_path: Path) -> None:
    columns = [pa.array(column) for column in (TIMES, *PRICES.T)]
    symbols = pa.array(halves(b"XUSDT", b"YUSDT"), pa.binary())
    pa.parquet.write_table(
        pa.table([*columns, symbols], ["timestamp", *COLUMNS, "symbol"]), tmp_path / "XUSDT_1h.parquet"
    )
    bars = FilesSource(str(tmp_path), MemoryStore()).fetch("XUSDT", "1h", "spot", START, START + ROWS * HOUR)
    assert bars.time.tolist() == TIMES[: ROWS // 2].tolist()


@pytest.mark.parametrize(("name", "value"), [("symbol", 7), ("token", "X"), ("base", "X"), ("side", "bid")])
def test_one_that_is_the_same_in_every_row_tells_nothing_apart(name: str, value: object, tmp_path: Path) -> None:
    assert read(tmp_path, "XUSDT_1h.csv", with_column(name, [value] * ROWS)).values.tolist() == PRICES.tolist()


def test_a_market_is_selected_by_its_symbol_whatever_else_tells_it_apart(tmp_path: Path) -> None:
    lines = csv_text().splitlines()
    rows = [f"{base},{line},{base}USDT" for base in ("X", "Y") for line in lines[1:]]
    bars = read(tmp_path, "XUSDT_1h.csv", "\n".join([f"base,{lines[0]},symbol", *rows]))
    assert bars.time.tolist() == TIMES.tolist()


@pytest.mark.parametrize("value", ["1h", 1, 60, 3600, 3_600_000, "60.0"])
def test_a_timeframe_may_be_a_number_of_any_unit(value: object, tmp_path: Path) -> None:
    assert len(read(tmp_path, "XUSDT_1h.csv", with_column("interval", [value] * ROWS))) == ROWS


def test_rows_of_another_timeframe_are_left_out_or_refused_when_it_is_a_number(tmp_path: Path) -> None:
    bars = read(tmp_path, "XUSDT_1h.csv", with_column("interval", halves(60, 240)))
    assert bars.time.tolist() == TIMES[: ROWS // 2].tolist()
    with pytest.raises(DataError, match="column interval holds 240 and no 1h"):
        read(tmp_path, "XUSDT_1h.csv", with_column("interval", [240] * ROWS))


@pytest.mark.parametrize(
    ("name", "after", "problem"),
    [
        ("close_time", 0, "by the column close_time the rows are named by the time they close"),
        ("Close time", -HOUR, "by the column Close time the rows are named by the time they close"),
        ("close_time", 4 * HOUR - 1, "each row lasts 4h, not 1h; give 1h bars"),
        ("closeTime", 5 * 60_000 - 1, "each row lasts 5m, not 1h"),
    ],
)
def test_closing_times_that_contradict_the_opening_times_or_the_timeframe_are_refused(
    name: str, after: int, problem: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=problem):
        read(tmp_path, "XUSDT_1h.csv", with_column(name, (TIMES + after).tolist()))


@pytest.mark.parametrize("values", [(TIMES + HOUR - 1).tolist(), (TIMES + HOUR).tolist(), [0] * ROWS, ["soon"] * ROWS])
def test_closing_times_that_agree_or_say_nothing_are_left_alone(values: list[object], tmp_path: Path) -> None:
    assert len(read(tmp_path, "XUSDT_1h.csv", with_column("close_time", values))) == ROWS


@pytest.mark.parametrize(
    ("inside", "fits"),
    [
        ("XUSDT-1h-2026-01.csv", True),
        ("X_USDT-1h.csv", True),
        ("bars.csv", True),
        ("YUSDT-1h-2026-01.csv", False),
        ("deep/YUSDT_1h.csv", False),
        ("XUSDT-4h-2026-01.csv", False),
    ],
)
def test_a_zip_whose_file_is_named_as_anothers_is_refused(inside: str, fits: bool, tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(inside, csv_text())
    if fits:
        assert len(read(tmp_path, "XUSDT-1h-2026-01.zip", packed.getvalue())) == ROWS
        return
    with pytest.raises(DataError, match=f"zip holds '{inside}', which is not XUSDT 1h; zip the right file"):
        read(tmp_path, "XUSDT-1h-2026-01.zip", packed.getvalue())


@pytest.mark.parametrize("name", ["XUSDT_1h.csv.zst", "XUSDT_1h.json", "x-usdt-1h.txt", "XUSDT_1H.csv"])
def test_a_file_that_is_nearly_named_right_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"no file XUSDT_1h.parquet, .* '{name}' is there: rename it, or write it"):
        read(tmp_path, name, csv_text())


def test_a_files_ending_may_be_in_capitals_and_two_spellings_are_two_files(tmp_path: Path) -> None:
    (tmp_path / "._XUSDT_1h.csv").write_text("a note that another system keeps beside it")
    assert len(read(tmp_path, "XUSDT_1h.CSV", csv_text())) == ROWS
    (tmp_path / "XUSDT_1h.csv").write_text(csv_text())
    with pytest.raises(DataError, match=r"XUSDT_1h\.CSV and .*XUSDT_1h\.csv both match"):
        FilesSource(str(tmp_path), MemoryStore()).fetch("XUSDT", "1h", "spot", START, START + ROWS * HOUR)


@pytest.mark.parametrize(
    ("name", "yes", "no"), [("confirm", 1, 0), ("is_closed", "True", "False"), ("complete", "true", "false")]
)
def test_rows_that_are_marked_as_unfinished_are_no_bars(name: str, yes: object, no: object, tmp_path: Path) -> None:
    bars = read(tmp_path, "XUSDT_1h.csv", with_column(name, [yes] * (ROWS - 1) + [no]))
    assert bars.time.tolist() == TIMES[:-1].tolist()
    bars = read(tmp_path, "XUSDT_1h.csv", with_column(name, [0.5] * (ROWS - 1) + [2]))
    assert len(bars) == ROWS  # it means something else
    with pytest.raises(DataError, match=f"column {name} marks every row as unfinished"):
        read(tmp_path, "XUSDT_1h.csv", with_column(name, [no] * ROWS))


def test_the_only_row_of_a_new_month_may_be_unfinished(tmp_path: Path) -> None:
    head, *rows, last = with_column("confirm", [1] * (ROWS - 1) + [0]).splitlines()
    (tmp_path / "XUSDT-1h-2026-02.csv").write_text(f"{head}\n{last}\n")
    bars = read(tmp_path, "XUSDT-1h-2026-01.csv", "\n".join([head, *rows]))
    assert bars.time.tolist() == TIMES[:-1].tolist()


@pytest.mark.parametrize(("name", "value"), [("base", "ETH"), ("quote_asset", "EUR"), ("Base Currency", "BTC")])
def test_a_part_of_another_symbol_is_refused(name: str, value: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"column {name} holds {value}, which is no part of XUSDT"):
        read(tmp_path, "XUSDT_1h.csv", with_column(name, [value] * ROWS))
