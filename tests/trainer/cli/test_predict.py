from __future__ import annotations

import csv
import hashlib
import io
import json
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from atb.contract import keys
from atb.contract import timeframe as tf
from atb.documents.champion import Signal
from atb.documents.result import FileEntry
from atb.errors import SpecError
from atb.registry.promote import evaluate_candidate
from atb.storage import DirectoryStore
from tests.atb.registry.candidates import SHOWN, make_result
from tests.trainer.export.test_export import export
from tests.trainer.export.trained import make_bars, make_fitted
from trainer.bars.frame import COLUMNS, Bars
from trainer.cli import atb
from trainer.forecast import forecast, open_forecaster, read_directory

BARS = make_bars(600, 1e-6)
TEST_FROM = tf.from_epoch_ms(int(BARS.time[500]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle."""
    folder = tmp_path_factory.mktemp("bundle")
    export(make_fitted("fast", "relative", BARS), folder)
    return folder


@pytest.fixture
def champion_store(folder: Path, tmp_path: Path) -> tuple[DirectoryStore, Path]:
    """A store with a champion, and the folder of its bundle."""
    store = DirectoryStore(tmp_path / "store")
    promote(store, folder, "BTCUSDT")
    return store, folder


def promote(store: DirectoryStore, folder: Path, symbol: str) -> None:
    """Make the bundle of a folder the champion of a symbol."""
    files, job = [], f"{symbol}-fast"
    for path in folder.iterdir():
        key, data = keys.bundle("r1", job, 1, path.name), path.read_bytes()
        store.put(key, data)
        files.append(FileEntry(path=path.name, key=key, size=len(data), sha256=hashlib.sha256(data).hexdigest()))
    result = make_result(symbol=symbol, files=tuple(files))
    result = result.model_copy(update={"split": result.split.model_copy(update={"test_from": TEST_FROM})})
    store.put(keys.result("r1", job), result.to_bytes())
    evaluate_candidate(store, result, SHOWN, by="me", why="")


def write_csv(bars: Bars, path: Path) -> None:
    lines = [",".join(("timestamp", *COLUMNS))]
    lines += [",".join(map(repr, (int(at), *row.tolist()))) for at, row in zip(bars.time, bars.values, strict=True)]
    path.write_text("\n".join(lines))


def test_the_forecast_is_the_bundle_s_from_the_bars_closed_by_then(
    champion_store: tuple[DirectoryStore, Path], tmp_path: Path
) -> None:
    store, folder = champion_store
    write_csv(BARS, tmp_path / "BTCUSDT_1h.csv")
    cut = tf.from_epoch_ms(int(BARS.time[580]))
    words = ["predict", "BTCUSDT", "--source", f"files:{tmp_path}", "--as-of", cut.isoformat(), "--store", store.url]
    expected = forecast(open_forecaster(read_directory(folder)), BARS.rows(0, 580))
    found = json.loads(CliRunner().invoke(atb, [*words, "--output", "json"], catch_exceptions=False).output)
    assert found["price"] == pytest.approx(expected.price, rel=1e-6)
    assert found["last_close"] == BARS.close[579]
    assert found["run"] == "r1"
    output = CliRunner().invoke(atb, words, catch_exceptions=False).output
    assert f"{expected.price:.6g}"[:6] in output
    assert "skill +0.2000 over the last close" in output
    assert "made-up" not in output
    assert "the threshold of its backtest" in output


def test_a_forecast_from_made_up_bars_says_so(champion_store: tuple[DirectoryStore, Path]) -> None:
    words = ["predict", "BTCUSDT", "--source", "sample", "--as-of", "2026-03-01", "--store", champion_store[0].url]
    output = CliRunner().invoke(atb, words, catch_exceptions=False).output
    assert output.splitlines()[0] == "trained on or forecast from made-up bars: this is not a real market"
    assert json.loads(CliRunner().invoke(atb, [*words, "--output", "json"], catch_exceptions=False).output)["synthetic"]


def test_a_forecast_inside_the_bars_it_was_trained_on_says_so(
    champion_store: tuple[DirectoryStore, Path], tmp_path: Path
) -> None:
    store, _ = champion_store
    write_csv(BARS, tmp_path / "BTCUSDT_1h.csv")
    for row, unseen in ((500, False), (501, True)):  # the last bar read is the one before
        cut = tf.from_epoch_ms(int(BARS.time[row])).isoformat()
        words = ["predict", "BTCUSDT", "--source", f"files:{tmp_path}", "--as-of", cut, "--store", store.url]
        found = json.loads(CliRunner().invoke(atb, [*words, "--output", "json"], catch_exceptions=False).output)
        assert (found["unseen"], datetime.fromisoformat(found["unseen_from"])) == (unseen, TEST_FROM)
        output = CliRunner().invoke(atb, words, catch_exceptions=False).output
        assert ("it has seen all before" in output) != unseen


@pytest.fixture
def three(champion_store: tuple[DirectoryStore, Path]) -> list[str]:
    """The arguments that forecast all champions of a store, of which that of ETHUSDT has a damaged model."""
    store, folder = champion_store
    for symbol in ("ETHUSDT", "SOLUSDT"):
        promote(store, folder, symbol)
    store.put(keys.bundle("r1", "ETHUSDT-fast", 1, "model_from_bars.onnx"), b"damaged")
    return ["predict", "--all", "--source", "sample", "--as-of", "2026-03-01", "--store", store.url]


def test_all_champions_forecast_in_one_process_and_a_bad_one_is_a_row(three: list[str]) -> None:
    done = CliRunner().invoke(atb, [*three, "--output", "json"])
    first, second, third = map(json.loads, done.stdout.splitlines())
    assert (first["symbol"], third["symbol"]) == ("BTCUSDT", "SOLUSDT")
    assert second["model"] == "ETHUSDT 1h fast"
    assert "sha256" in second["problem"]
    assert done.exit_code == second["exit_code"] == 75
    lines = CliRunner().invoke(atb, three).stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["model", "BTCUSDT", "ETHUSDT", "SOLUSDT"]
    assert "sha256" in lines[2]
    assert f"{first['price']:.8g}" in lines[1]
    rows = list(csv.DictReader(io.StringIO(CliRunner().invoke(atb, [*three, "--output", "csv"]).stdout)))
    assert [float(rows[0][name]) for name in ("price", "lower_0.5", "upper_0.5")] == [
        first["price"],
        first["bands"][0]["lower"],
        first["bands"][0]["upper"],
    ]
    assert "sha256" in rows[1]["problem"]
    assert rows[1]["price"] == ""


def test_symbols_may_be_several_and_one_without_a_champion_is_a_row(three: list[str]) -> None:
    done = CliRunner().invoke(atb, ["predict", "SOLUSDT", "NOWHERE", *three[2:], "--output", "json"])
    found, missing = map(json.loads, done.stdout.splitlines())
    assert found["symbol"] == "SOLUSDT"
    assert (missing["model"], missing["exit_code"], done.exit_code) == ("NOWHERE", 2, 2)
    assert "has no champion" in missing["problem"]


def test_kept_forecasts_are_documents_in_the_store(three: list[str]) -> None:
    CliRunner().invoke(atb, [*three, "--keep"])
    store = DirectoryStore(Path(three[-1]))
    kept = [Signal.from_bytes(store.get(entry.key), entry.key) for entry in store.list("signals/")]
    assert [each.symbol for each in kept] == ["BTCUSDT", "SOLUSDT"]


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ([], "name symbols"),
        (["BTCUSDT", "--all"], "name symbols"),
        (["--all", "--follow", "--as-of", "2026-01-01"], "leave out --as-of"),
        (["--all", "--preset", "fsat"], "no champion in .* has --preset fsat"),
    ],
)
def test_a_request_that_makes_no_sense_is_one_line(
    words: list[str], problem: str, champion_store: tuple[DirectoryStore, Path]
) -> None:
    with pytest.raises(SpecError, match=problem):
        raise CliRunner().invoke(atb, ["predict", *words, "--store", champion_store[0].url]).exception or AssertionError


def test_a_store_without_champions_is_no_failure(tmp_path: Path) -> None:
    done = CliRunner().invoke(atb, ["predict", "--all", "--store", str(tmp_path)])
    assert (done.exit_code, done.stdout) == (0, "")
    assert "no champions" in done.stderr


def test_ctrl_c_ends_following_at_once(champion_store: tuple[DirectoryStore, Path]) -> None:
    words = ["predict", "--all", "--follow", "--source", "sample", "--output", "json", "--store", champion_store[0].url]
    with subprocess.Popen([sys.executable, "-m", "trainer.cli", *words], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["symbol"] == "BTCUSDT"
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
