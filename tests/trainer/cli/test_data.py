"""``atb data``, through the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from atb.contract import timeframe as tf
from atb.errors import DataError, DataNotReady, SpecError
from atb.storage import DirectoryStore
from tests.exchange import Exchange, serve_exchange
from tests.processes import begin
from tests.trainer.bars.builders import bars_at
from tests.trainer.bars.conftest import NOW
from tests.trainer.cli.test_predict import write_csv
from trainer.bars.chart import MOST_CANDLES, thin_bars
from trainer.bars.frame import Bars
from trainer.bars.sample import SampleSource
from trainer.cli import atb


@pytest.fixture
def exchange(monkeypatch: pytest.MonkeyPatch) -> Iterator[Exchange]:
    """Made-up bars with a hole of 3 hours, as Binance would serve them."""
    bars = SampleSource().fetch("BTCUSDT", "1h", "spot", tf.epoch_ms(NOW) - 150 * 86_400_000, tf.epoch_ms(NOW))
    holed = bars.take((bars.time < bars.time[1000]) | (bars.time > bars.time[1002]))
    with serve_exchange({("spot", "BTCUSDT"): holed}, NOW) as serving:
        monkeypatch.setenv("ATB_BINANCE_ARCHIVE_URL", serving.url)
        monkeypatch.setenv("ATB_BINANCE_REST_URL", serving.url)
        yield serving


def run(*arguments: str) -> Result:
    return CliRunner().invoke(atb, ["data", *arguments])


def window(store: Path, *more: str) -> list[str]:
    return ["BTCUSDT", "--start", "2024-11-01", "--as-of", "2025-03-10", "--store", str(store), *more]


def test_get_fills_the_store_and_the_second_time_asks_for_nothing(exchange: Exchange, tmp_path: Path) -> None:
    first = run("get", *window(tmp_path))
    assert first.exit_code == 0, first.output
    assert "BTCUSDT 1h: 3,093 of 3,096 bars (99.90%); 1 gap up to 3 bars long, 3 missing" in first.output
    names = [entry.key.rpartition("/")[2] for entry in DirectoryStore(tmp_path).list("bars/binance/spot/BTCUSDT/1h/")]
    assert names == [
        *(f"{month}.parquet" for month in ("2024-11", "2024-12", "2025-01", "2025-02", "2025-03")),
        "index.json",
    ]
    before = len(exchange.requests)
    run("get", *window(tmp_path))
    assert len(exchange.requests) == before


def test_check_lists_the_gaps_and_fails_where_the_preset_needs_more(exchange: Exchange, tmp_path: Path) -> None:
    found = run("check", *window(tmp_path))
    assert found.exit_code == 0, found.output
    assert "gap of 3 bars: 2024-11-2" in found.output
    short = run("check", *window(tmp_path, "--preset", "quality"), "--start", "2025-02-20")
    assert isinstance(short.exception, DataError)
    assert "that this preset needs" in str(short.exception)


def test_check_speaks_json_too(tmp_path: Path) -> None:
    found = run("check", "BTCUSDT", "ETHUSDT", "--source", "sample", "--output", "json", "--store", str(tmp_path))
    reports = [json.loads(line) for line in found.stdout.splitlines()]
    assert [(report["symbol"], report["kept"], report["complete"]) for report in reports] == [
        ("BTCUSDT", 4320, 1.0),
        ("ETHUSDT", 4320, 1.0),
    ]


def test_one_symbol_that_fails_does_not_stop_the_others(exchange: Exchange, tmp_path: Path) -> None:
    found = run("get", "NOSUCH", *window(tmp_path))
    assert "BTCUSDT 1h: 3,093 of 3,096 bars" in found.output
    assert isinstance(found.exception, DataError)
    assert "NOSUCH 1h: binance has no bars of it" in str(found.exception)


def test_libraries_say_nothing_between_the_reports(s3_url: str, s3_endpoint: str) -> None:
    window = ("--source", "sample", "--as-of", "2026-01-31", "--days", "60")
    store = ("--store", s3_url, "--endpoint-url", s3_endpoint)
    check = begin(["data", "check", "BTC/USDT:USDT", *window, *store])
    assert check.communicate()[1] == ""
    assert check.returncode == 0


def test_show_writes_a_picture(exchange: Exchange, tmp_path: Path) -> None:
    found = run("show", *window(tmp_path / "store"), "--folder", str(tmp_path / "new" / "pictures"))
    assert found.exit_code == 0, found.output
    picture = (tmp_path / "new" / "pictures" / "BTCUSDT-1h.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) > 10_000
    (tmp_path / "file").write_text("no folder")
    nowhere = run("show", *window(tmp_path / "store"), "--folder", str(tmp_path / "file"))
    assert isinstance(nowhere.exception, SpecError)
    assert str(nowhere.exception).endswith("file/BTCUSDT-1h.png can't be written: File exists; name another --folder")


def test_many_bars_are_drawn_as_fewer_candles_of_the_same_extremes() -> None:
    bars = bars_at([float(hour) for hour in range(1203)])
    thin = thin_bars(bars, MOST_CANDLES)
    assert len(thin) == 401
    assert _span(thin) == _span(bars)
    assert thin.values[:, 4].sum() == 1203


def _span(bars: Bars) -> tuple[float, ...]:
    return (*bars.values[0, :1], bars.values[:, 1].max(), bars.values[:, 2].min(), *bars.values[-1, 3:4])


@pytest.mark.parametrize(("still", "part"), [(slice(0, 2300), "train"), (slice(-700, None), "test")])
def test_check_refuses_a_price_that_does_not_move_as_a_training_would(tmp_path: Path, still: slice, part: str) -> None:
    bars = SampleSource().fetch("BTCUSDT", "1h", "spot", tf.epoch_ms(NOW) - 129 * 86_400_000, tf.epoch_ms(NOW))
    columns = bars.values[:, :4].copy()
    columns[still] = columns[still][0, 3]
    lines = [
        f"{time},{','.join(map(repr, row))},{volume!r}"
        for time, row, volume in zip(bars.time.tolist(), columns.tolist(), bars.values[:, 4].tolist(), strict=True)
    ]
    (tmp_path / "BTCUSDT_1h.csv").write_text("\n".join(["open_time,open,high,low,close,volume", *lines]))
    source = ("--source", f"files:{tmp_path}")
    found = run("check", *window(tmp_path / "store", *source))
    assert isinstance(found.exception, DataError), found.output
    assert f"bars of the {part} part" in str(found.exception)
    assert "99.9" in found.output or "100.00%" in found.output, "the summary is printed all the same"


@pytest.mark.parametrize("as_of", ["2025-03-12T12:00", "2025-03-20", "2025-06-30"])
def test_check_says_that_bars_before_the_cut_are_still_to_come_as_a_training_would(as_of: str, tmp_path: Path) -> None:
    start = tf.epoch_ms(NOW) - 150 * 86_400_000
    write_csv(SampleSource().fetch("BTCUSDT", "1h", "spot", start, tf.epoch_ms(NOW)), tmp_path / "BTCUSDT_1h.csv")
    window = ("--start", "2025-01-01", "--as-of", as_of, "--store", str(tmp_path / "store"))
    found = run("check", "BTCUSDT", "--source", f"files:{tmp_path}", *window)
    assert isinstance(found.exception, DataNotReady), found.output
    assert "not yet until" in str(found.exception)
