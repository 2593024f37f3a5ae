"""Whatever is in a file, it is bars or one line; ``make fuzz`` looks at many more."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from atb.contract import keys
from atb.contract import timeframe as tf
from atb.contract.sources import normal_symbol
from atb.contract.spec import resolve_spec
from atb.errors import AtbError, DataError, SpecError
from atb.storage import MemoryStore
from trainer.bars.bounds import gunzip, unzip
from trainer.bars.check import check_bars, validate_bars
from trainer.bars.files import FilesSource
from trainer.bars.files.delimited import read_csv
from trainer.bars.files.table import bars_from_table

START = 1_767_225_600_000
names = st.sampled_from(
    ["timestamp", "open", "high", "low", "close", "volume", "Date", "time", "symbol", "Open time", "openTime", "", "x",
     "Volume BTC", "close_time", "interval", "<OPEN>", "größe", "Unnamed: 0"]
)  # fmt: skip
cells = st.one_of(
    st.sampled_from([str(START + hour * 3_600_000) for hour in range(4)]),
    st.sampled_from(["", "1", "1.5", "1,5", "nan", "inf", "-1", "1e400", "2026-01-01", "01/02/2026", "00:30"]),
    st.text(max_size=6),
)
tables = st.builds(
    lambda header, rows, separator, end: end.join(separator.join(line) for line in [header, *rows]),
    st.lists(names, min_size=1, max_size=9),
    st.lists(st.lists(cells, min_size=1, max_size=9), max_size=5),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
encodings = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1", "utf-32"])
texts = st.builds(lambda text, encoding: text.encode(encoding, "replace"), tables, encodings)
files = st.one_of(st.binary(max_size=300), texts)


def line_of(error: AtbError) -> str:
    """Its words, which must be one printable line of some length."""
    line = str(error)
    assert line.isprintable()
    assert len(line) < 1_500
    return line


@given(files)
def test_any_text_is_bars_or_one_line(data: bytes) -> None:
    try:
        bars = bars_from_table(read_csv(data, "x.csv"), "BTCUSDT", "1h", "x.csv")
    except DataError as error:
        line_of(error)
        return
    kept, report = check_bars(bars, START, START + 4 * 3_600_000)
    assert (np.diff(kept.time) > 0).all()
    assert np.isfinite(kept.values).all()
    try:
        validate_bars(report, 1)
    except DataError as error:
        line_of(error)


@given(kind=st.sampled_from(["csv", "csv.gz", "zip", "parquet"]), data=files)
@example(kind="csv", data=b"!\t!\nTicker")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_under_any_name_are_bars_or_one_line(kind: str, data: bytes, tmp_path: Path) -> None:
    folder = tmp_path / kind
    folder.mkdir(exist_ok=True)
    (folder / f"BTCUSDT.{kind}").write_bytes(data)
    try:
        FilesSource(str(folder), MemoryStore()).fetch("BTCUSDT", "1h", "spot", START, START + 4 * 3_600_000)
    except AtbError as error:
        line_of(error)


@given(st.binary(min_size=1, max_size=200))
def test_any_bytes_unpack_or_are_refused(data: bytes) -> None:
    for unpack in (unzip, gunzip):
        with pytest.raises(DataError, match="x is not a complete"):
            unpack(data, "x")


@given(st.text(max_size=8), st.text(max_size=30), st.text(max_size=30))
def test_any_timeframe_instant_and_source_make_a_spec_or_one_line(timeframe: str, instant: str, source: str) -> None:
    try:
        resolve_spec("BTCUSDT", "fast", {"timeframe": timeframe, "as_of": instant, "source": source})
    except SpecError as error:
        line_of(error)
    try:
        assert tf.to_ms(timeframe) > 0
    except SpecError as error:
        line_of(error)


@given(st.text(max_size=70), st.text(max_size=70))
def test_two_symbols_never_share_a_key(one: str, other: str) -> None:
    try:
        one, other = normal_symbol(one), normal_symbol(other)
    except ValueError:
        return
    assert (keys.job_id(one, "fast") == keys.job_id(other, "fast")) == (one == other)
    assert all(part not in ("", ".", "..") for part in keys.job_id(one, "fast").split("/"))
    assert "/" not in keys.job_id(one, "fast")
