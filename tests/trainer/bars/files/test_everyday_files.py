"""Files as other programs write them: read where their meaning is certain, else one line that says what to change."""

from __future__ import annotations

import codecs
import gzip
import io
import zipfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest

from atb.errors import DataError, DataNotReady
from atb.storage import MemoryStore
from tests.conftest import SHARED_BARS
from tests.trainer.bars.builders import HOUR, bars_at
from tests.trainer.bars.conftest import ms
from trainer.bars.bounds import gunzip, unzip, validate_archive
from trainer.bars.check import check_bars, validate_bars
from trainer.bars.files import FilesSource
from trainer.bars.files.delimited import read_csv, to_utf8
from trainer.bars.frame import COLUMNS, Bars

START = ms("2026-01-01")
ROWS = 30
TIMES = START + np.arange(ROWS) * HOUR
PRICES = np.round(bars_at(list(range(ROWS))).values * 1.1, 4)


def texts(style: str) -> list[str]:
    """The times in a style."""
    moments = TIMES.astype("datetime64[ms]").astype("datetime64[s]")
    words = [str(moment).replace("T", " ") for moment in moments]
    return {
        "ms": [str(time) for time in TIMES],
        "plain": words,
        "utc": [f"{word} UTC" for word in words],
        "zulu": [f"{word.replace(' ', 'T')}Z" for word in words],
        "offset": [f"{word}+00:00" for word in words],
        "slashes": [word.replace("-", "/") for word in words],
        "minutes": [word[:-3] for word in words],
        "fractions": [f"{word}.000000" for word in words],
        "german": [f"{word[8:10]}.{word[5:7]}.{word[:4]} {word[11:16]}" for word in words],
        "american": [f"{word[5:7]}/{word[8:10]}/{word[:4]} {word[11:16]}" for word in words],
        "mixed": [word if row % 2 else f"{word}Z" for row, word in enumerate(words)],
        "words": ["yesterday" for _ in words],
    }[style]


def csv_text(
    header: str | None = "timestamp,open,high,low,close,volume", style: str = "ms", separator: str = ",", more: str = ""
) -> str:
    """The bars as text."""
    lines = [] if header is None else [header.replace(",", separator)]
    for time, row in zip(texts(style), PRICES.tolist(), strict=True):
        lines.append(separator.join([time, *map(repr, row)]) + more)
    return "\n".join(lines) + "\n"


def read(folder: Path, name: str, data: bytes | str, symbol: str = "XUSDT") -> Bars:
    """What the source makes of one file."""
    (folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())
    return FilesSource(str(folder), MemoryStore()).fetch(symbol, "1h", "spot", START, START + ROWS * HOUR)


ARCHIVE = ",0,0.5,7,1.0,1.0,0"
HEAD_12 = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"
)


@pytest.mark.parametrize(
    "data",
    [
        csv_text(separator=";"),
        csv_text(separator="\t"),
        csv_text(separator="|"),
        csv_text().replace("\n", "\r\n"),
        csv_text().encode("utf-16"),
        codecs.BOM_UTF16_BE + csv_text().encode("utf-16-be"),
        csv_text().encode("utf-16-le"),
        csv_text().encode("utf-32"),
        csv_text().encode("utf-8-sig"),
        csv_text(header=None).encode("utf-8-sig"),
        csv_text(header=None, more=ARCHIVE).encode("utf-8-sig"),
        csv_text(header=None, more=ARCHIVE),
        csv_text(header=None),
        csv_text(header=HEAD_12, more=ARCHIVE),
        csv_text(header="Open time,Open,High,Low,Close,Volume"),
        csv_text(header="openTime,open,high,low,close,volume"),
        csv_text(header="<OPEN_TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOLUME>"),
        csv_text(header=" Timestamp , Open , High , Low , Close , Volume "),
        csv_text(header='"timestamp","open","high","low","close","volume"'),
        csv_text(header=",open,high,low,close,volume", style="offset"),
        csv_text(header="Unnamed: 0,open,high,low,close,volume", style="plain"),
        csv_text(header="https://www.example.com\ntimestamp,open,high,low,close,volume"),
        csv_text(header="Bars of X\n\nHourly, in UTC\ntimestamp,open,high,low,close,volume"),
        csv_text(header="timestamp,open,high,low,close,Volume X"),
        csv_text(header="timestamp,open,high,low,close,Volume X,Volume USDT", more=",5"),
        csv_text(header="timestamp,open,high,low,close,volume,größe", more=",1").encode("latin-1"),
        *(csv_text(style=style) for style in ("plain", "utc", "zulu", "offset", "slashes", "minutes", "fractions")),
    ],
)  # fmt: skip
def test_what_certain_text_means_is_read(data: bytes | str, tmp_path: Path) -> None:
    bars = read(tmp_path, "XUSDT_1h.csv", data)
    assert bars.time.tolist() == TIMES.tolist()
    assert bars.values.tolist() == PRICES.tolist()


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (csv_text(style="german"), "which of 01 and 01 is the day in a time like '01.01.2026 00:00' is unclear"),
        (csv_text(style="american"), "is the day in a time like '01/01/2026 00:00' is unclear; write the"),
        (csv_text(style="mixed"), "some have a zone and some have none"),
        (csv_text() + csv_text(), "a row has 'timestamp' where others have a time; leave it out of the file"),
        (csv_text() + "Total,,,,,9\n", "a row has 'Total' where others have a time"),
        (csv_text(style="zulu") + "Total,,,,,9\n", "a row has 'Total' where others have a time"),
        (csv_text() + csv_text(header=None, style="plain"), "some times are numbers and some are text, like '2026"),
        (csv_text(style="words"), "the times can't be read, like 'yesterday'; write 2026-01-31 06:00 in UTC"),
        (csv_text(header=None, style="plain"), "has no header, and its 6 columns can't be identified"),
        (csv_text(header=None, more=",1,2"), "has no header, and its 8 columns can't be identified; add a first"),
        (csv_text(header="time,o,h,l,c,v"), "no column open, high, low, close, volume; there are time, o, h, l, c, v"),
        (csv_text(header="timestamp,open,high,low,close,Volume BTC"), "no column volume; .* if it is Volume BTC"),
        (csv_text(header="timestamp,open,high,low,close,Volume A,Volume B", more=",1"), "no column volume"),
        (csv_text(header="timestamp,open,high,low,close,volume,Close", more=",1"), "close, Close both mean close"),
        (csv_text(header="timestamp,open,high,low,close,close,volume", more=",1"), "close, close both mean close"),
        (csv_text(header="close time,open,high,low,close,volume"), "there are only closing times"),
        (csv_text(separator=";").replace(".", ","), "column open is not numeric: .*decimal point"),
        (csv_text(separator="!"), "separate columns by commas, semicolons or tabs"),
        (csv_text(header="timestamp,open,high,low,close,volume,date", more=",2026-01-01 00:00:00"), "and not the same"),
        (csv_text(header="timestamp,open,high,low,close,volume,exchange"), "not a table of bars"),
        ("Price,Close,High,Low,Open,Volume\nTicker,X,X,X,X,X\nDate,,,,,\n", "as yfinance writes them"),
        (b"\x00\x01\x02\x03" * 200, "is not"),
        (b"\xff\xfeabc", "not whole UTF-16-LE"),
        (b"\x7fELF\x01\x01 and so on", "is not text"),
        ("", "no column|not a table"),
        ("\n\n\n", "no column|not a table"),
    ],
)  # fmt: skip
def test_what_is_not_certain_is_refused_in_one_line(data: bytes | str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"XUSDT_1h\.csv.*({problem})") as caught:
        read(tmp_path, "XUSDT_1h.csv", data)
    assert "\n" not in str(caught.value)
    assert str(caught.value).isprintable()


def test_two_time_columns_are_read_where_they_agree(tmp_path: Path) -> None:
    seconds = csv_text(header="timestamp,open,high,low,close,volume").splitlines()
    both = ["unix,date," + seconds[0].partition(",")[2]]
    for time, words, line in zip(TIMES, texts("plain"), seconds[1:], strict=True):
        both.append(f"{time // 1000},{words},{line.partition(',')[2]}")
    assert read(tmp_path, "XUSDT_1h.csv", "\n".join(both)).time.tolist() == TIMES.tolist()
    day = [
        "date," + seconds[0],
        *(f"{words[:10]},{line}" for words, line in zip(texts("plain"), seconds[1:], strict=True)),
    ]
    assert read(tmp_path, "XUSDT_1h.csv", "\n".join(day)).time.tolist() == TIMES.tolist()
    day[5] = day[5].replace("2026-01-01", "2026-02-01")
    with pytest.raises(DataError, match="columns timestamp, date both hold times, and not the same ones"):
        read(tmp_path, "XUSDT_1h.csv", "\n".join(day))


@pytest.mark.parametrize("names", ["Date,Time", "time,date"])
@pytest.mark.parametrize("clock", [slice(11, 16), slice(11, 19)])
def test_a_day_and_a_time_of_day_are_one_time(names: str, clock: slice, tmp_path: Path) -> None:
    lines = [f"{names},Open,High,Low,Close,Volume"]
    for words, row in zip(texts("plain"), PRICES.tolist(), strict=True):
        pair = (words[:10], words[clock]) if names == "Date,Time" else (words[clock], words[:10])
        lines.append(",".join([*pair, *map(repr, row)]))
    assert read(tmp_path, "XUSDT_1h.csv", "\n".join(lines)).time.tolist() == TIMES.tolist()


def table(**more: object) -> pa.Table:
    """The bars as a table with further columns."""
    prices = {name: PRICES[:, column] for column, name in enumerate(COLUMNS)}
    return pa.table({**more, **prices})


@pytest.mark.parametrize(
    "made",
    [
        table(timestamp=texts("ms")),
        table(timestamp=pa.array(texts("ms"), pa.large_string())),
        table(timestamp=pa.array(texts("plain")).dictionary_encode()),
        table(timestamp=texts("utc")),
        table(__index_level_0__=pa.array(TIMES, pa.timestamp("ms", "UTC"))),
        table(Date=pa.array(TIMES, pa.timestamp("ms")).cast(pa.timestamp("ns", "UTC"))),
        table(timestamp=TIMES.astype(np.float64)),
        table(timestamp=TIMES, symbol=["X/USDT"] * ROWS),
        table(timestamp=TIMES, symbol=[b"XUSDT"] * ROWS),
        table(timestamp=[each.encode() for each in texts("utc")], note=[b"\xff"] * ROWS),
        table(timestamp=TIMES, timeframe=["1h"] * ROWS),
    ],
)
@pytest.mark.parametrize("kind", ["parquet", "feather"])
def test_tables_of_other_programs_are_read(made: pa.Table, kind: str, tmp_path: Path) -> None:
    path = str(tmp_path / f"XUSDT_1h.{kind}")
    if kind == "parquet":
        pa.parquet.write_table(made, path)
    else:
        pa.feather.write_feather(made, path)
    bars = FilesSource(str(tmp_path), MemoryStore()).fetch("XUSDT", "1h", "spot", START, START + ROWS * HOUR)
    assert bars.time.tolist() == TIMES.tolist()
    assert bars.values.tolist() == PRICES.tolist()


@pytest.mark.parametrize("scale", [4, 8, 12])
def test_decimals_are_the_same_numbers_as_in_text(scale: int, tmp_path: Path) -> None:
    kind = pa.decimal128(30, scale)
    columns = [pa.array([Decimal(repr(value)) for value in column], kind) for column in PRICES.T.tolist()]
    made = pa.table([pa.array(TIMES), *columns], ["timestamp", *COLUMNS])
    pa.parquet.write_table(made, tmp_path / "XUSDT_1h.parquet")
    bars = FilesSource(str(tmp_path), MemoryStore()).fetch("XUSDT", "1h", "spot", START, START + ROWS * HOUR)
    assert bars.values.tolist() == PRICES.tolist()


def two_markets(order: Callable[[int], int], column: str = "symbol", names: tuple[str, str] = ("X-USDT", "Y")) -> str:
    """Rows of two markets, X's first and Y's at ten times the price, in an order of our own."""
    lines = [f"{line},{names[0]}" for line in csv_text().splitlines()[1:]]
    for time, row in zip(TIMES.tolist(), (PRICES * 10).tolist(), strict=True):
        lines.append(",".join([str(time), *map(repr, row), names[1]]))
    lines = [lines[order(row)] for row in range(2 * ROWS)]
    return "\n".join([f"timestamp,open,high,low,close,volume,{column}", *lines])


@pytest.mark.parametrize("column", ["symbol", "Pair", "ticker", "Instrument"])
@pytest.mark.parametrize(
    "order", [lambda row: row, lambda row: 59 - row, lambda row: row * 31 % 60], ids=["after", "before", "between"]
)
def test_of_two_markets_in_one_file_the_rows_of_the_symbol_are_read(
    order: Callable[[int], int], column: str, tmp_path: Path
) -> None:
    bars = read(tmp_path, "XUSDT_1h.csv", two_markets(order, column))
    assert sorted(bars.time.tolist()) == TIMES.tolist()
    assert sorted(bars.close.tolist()) == PRICES[:, 3].tolist()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (two_markets(int, names=("A", "B")), "column symbol holds A, B and no XUSDT"),
        (two_markets(int, names=("X/USDT", "xusdt")), "column symbol holds X/USDT, xusdt, which all mean XUSDT"),
        (two_markets(int, "exchange"), "column exchange holds rows of X-USDT, Y; give a file of one of them"),
        (two_markets(int, "interval", ("1m", "5m")), "column interval holds 1m, 5m and no 1h"),
    ],
)
def test_indistinguishable_markets_are_refused_with_the_columns_name(text: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=problem):
        read(tmp_path, "XUSDT_1h.csv", text)


def test_two_markets_without_a_column_that_says_so_are_never_mixed(tmp_path: Path) -> None:
    bars = read(tmp_path, "XUSDT_1h.csv", two_markets(int, "note"))
    _, report = check_bars(bars, START, START + ROWS * HOUR)
    with pytest.raises(DataError, match="60 of 60 rows repeat a time with other values"):
        validate_bars(report, 1)


@pytest.mark.parametrize(
    "names",
    [
        ("XUSDT.csv", "XUSDT_1h.csv"),
        ("XUSDT_1h.csv", "xusdt_1h.csv"),
        ("X-USDT_1h.csv", "X_USDT_1h.csv"),
        ("XUSDT_1h.csv", "XUSDT_1h.csv.gz"),
        ("XUSDT_1h.csv", "XUSDT_1h.parquet"),
        ("XUSDT-1h-2026-01.csv", "XUSDT-1h.csv"),
        ("XUSDT-1h-2026-01.csv", "X-USDT-1h-2026-02.csv"),
    ],
)
def test_two_files_that_answer_to_one_symbol_are_both_named(names: tuple[str, str], tmp_path: Path) -> None:
    for name in names:
        (tmp_path / name).write_text(csv_text())
    with pytest.raises(DataError, match="both match; keep only one of them") as caught:
        FilesSource(str(tmp_path), MemoryStore()).fetch("XUSDT", "1h", "spot", START, START + ROWS * HOUR)
    assert all(f"/{name} " in str(caught.value) for name in names)


def test_a_listing_whose_name_is_not_latin_has_its_own_file(tmp_path: Path) -> None:
    (tmp_path / "币安人生USDT_1h.csv").write_text(csv_text())
    (tmp_path / "USDT_1h.csv").write_text("not it")
    (tmp_path / "我踏马来了USDT_1h.csv").write_text("nor this")
    source = FilesSource(str(tmp_path), MemoryStore())
    assert len(source.fetch("币安人生USDT", "1h", "spot", START, START + ROWS * HOUR)) == ROWS
    (tmp_path / "Cafe\u0301_1h.csv").write_text(csv_text())
    assert len(source.fetch("CAF\xc9", "1h", "spot", START, START + ROWS * HOUR)) == ROWS


def test_a_window_after_the_last_row_is_not_there_yet_and_one_before_the_first_never_will_be(tmp_path: Path) -> None:
    (tmp_path / "XUSDT_1h.csv").write_text(csv_text())
    source = FilesSource(str(tmp_path), MemoryStore())
    with pytest.raises(DataNotReady, match="choose --as-of and --days within it"):
        source.fetch("XUSDT", "1h", "spot", START + 100 * HOUR, START + 200 * HOUR)
    with pytest.raises(DataError, match="choose --as-of and --days within it"):
        source.fetch("XUSDT", "1h", "spot", START - 200 * HOUR, START - 100 * HOUR)


@pytest.mark.parametrize("path", ["~nobody-of-that-name/x", "a\0b", "/proc/self/mem", "x" * 5000])
def test_an_invalid_path_is_one_line(path: str) -> None:
    with pytest.raises(DataError) as caught:
        FilesSource(path, MemoryStore()).fetch("XUSDT", "1h", "spot", START, START + HOUR)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["feather", "parquet"])
def test_a_damaged_file_of_a_native_format_is_refused_and_kills_nothing(kind: str, tmp_path: Path) -> None:
    out = io.BytesIO()
    made = table(timestamp=pa.array(TIMES, pa.timestamp("ms", "UTC")), note=["abc"] * ROWS)
    (pa.feather.write_feather if kind == "feather" else pa.parquet.write_table)(made, out)
    whole = out.getvalue()
    seed = np.random.default_rng(1)
    refused: list[str] = []
    for _ in range(6 if kind == "feather" else 60):
        data = bytearray(whole)
        for at in seed.integers(8, len(data), size=20):
            data[at] = int(seed.integers(256))
        try:
            read(tmp_path, f"XUSDT_1h.{kind}", bytes(data))
        except DataError as error:
            refused.append(str(error))
    assert refused
    assert not any("\n" in line for line in refused)
    for cut in (b"", whole[:-9], whole[: len(whole) // 2], b"\0" * 100):
        with pytest.raises(DataError, match="XUSDT_1h"):
            read(tmp_path, f"XUSDT_1h.{kind}", cut)


def test_what_unpacks_to_more_than_a_file_may_hold_is_refused_while_it_unpacks() -> None:
    zeros = bytes(3 << 20)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", zeros)
    for unpack, data in ((unzip, packed.getvalue()), (gunzip, gzip.compress(zeros))):
        with pytest.raises(DataError, match="x holds more than 1 MiB; split it into files by month"):
            unpack(data, "x", 1 << 20)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_that_unpacks_to_any_size_at_once_is_refused(method: int) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        archive.writestr("a.csv", bytes(3 << 20))
    with pytest.raises(DataError, match="x is packed by bzip2, LZMA or another method; zip it by deflate"):
        unzip(packed.getvalue(), "x", 1 << 20)


@pytest.mark.parametrize(
    ("method", "said"), [(zipfile.ZIP_BZIP2, "packed by bzip2"), (zipfile.ZIP_DEFLATED, "6,000 bytes")]
)
def test_an_archive_of_a_net_is_looked_at_before_it_is_unpacked(method: int, said: str) -> None:
    with zipfile.ZipFile(packed := io.BytesIO(), "w", method) as archive:
        archive.writestr("config.json", bytes(3_000))
        archive.writestr("model.weights.h5", bytes(3_000))
    with pytest.raises(ValueError, match=said):
        validate_archive(packed, 5_999)
    with pytest.raises(ValueError, match="it is no whole zip: "):
        validate_archive(io.BytesIO(packed.getvalue()[:-30]), 6_000)


@pytest.mark.parametrize(
    ("row", "count", "said"),
    [(b"\n", 10_000_001, "10,000,001 rows"), (b"\r", 10_000_001, "10,000,001 rows"), (b",", 2**26, "512 MiB")],
)
def test_text_of_more_values_than_a_file_may_hold_is_refused_before_it_is_parsed(
    row: bytes, count: int, said: str
) -> None:
    with pytest.raises(DataError, match=f"x.csv holds (more than )?{said}"):
        read_csv(b"timestamp,open,high,low,close,volume" + row * count, "x.csv")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "latin-1"])
def test_a_long_text_is_the_same_in_every_encoding(encoding: str) -> None:
    text = "timestamp,open,high,low,close,volume,größe\n" + "1700000000000,1,1,1,1,1,ü\n" * 60_000
    assert to_utf8(text.encode(encoding), "x.csv").decode() == text


def test_a_zip_of_several_files_is_refused_and_one_beside_an_apples_notes_is_read(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("__MACOSX/._XUSDT_1h.csv", b"\0")
        archive.writestr("XUSDT_1h.csv", csv_text())
    assert len(read(tmp_path, "XUSDT_1h.zip", packed.getvalue())) == ROWS
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr("YUSDT_1h.csv", csv_text())
    with pytest.raises(DataError, match="holds 2 files and only one is read"):
        read(tmp_path, "XUSDT_1h.zip", packed.getvalue())


CASES = SHARED_BARS.parent / "cases"


@pytest.mark.skipif(not CASES.is_dir(), reason="the case files are not beside this checkout (../shared/cases)")
@pytest.mark.parametrize("path", sorted(CASES.glob("everyday-files/*")), ids=lambda path: path.stem)
def test_every_everyday_case_is_read_whole_or_refused_in_one_line(path: Path) -> None:
    symbol = path.stem.removesuffix("_1h")
    source = FilesSource(str(path.parent), MemoryStore())
    if symbol in ("GERMAN", "TITLELINE", "YFINANCE"):
        with pytest.raises(DataError, match=path.name):
            source.fetch(symbol, "1h", "spot", START, ms("2026-01-09"))
        return
    bars, report = check_bars(source.fetch(symbol, "1h", "spot", START, ms("2026-01-09")), START, ms("2026-01-09"))
    assert (len(bars), report.complete) == (192, 1.0)
    assert bars.close[0] == 100.1258
