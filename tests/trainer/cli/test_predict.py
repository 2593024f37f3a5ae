from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from atb.contract import keys
from atb.contract import timeframe as tf
from atb.documents.result import FileEntry
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


@pytest.fixture
def served(tmp_path: Path) -> tuple[DirectoryStore, Path]:
    """A store with a champion, and the folder of its bundle."""
    folder = tmp_path / "bundle"
    export(make_fitted("fast", "relative", BARS), folder)
    store, files = DirectoryStore(tmp_path / "store"), []
    for path in folder.iterdir():
        key, data = keys.bundle("r1", "BTCUSDT-fast", 1, path.name), path.read_bytes()
        store.put(key, data)
        files.append(FileEntry(path=path.name, key=key, size=len(data), sha256=hashlib.sha256(data).hexdigest()))
    result = make_result(files=tuple(files))
    result = result.model_copy(update={"split": result.split.model_copy(update={"test_from": TEST_FROM})})
    store.put(keys.result("r1", "BTCUSDT-fast"), result.to_bytes())
    evaluate_candidate(store, result, SHOWN, by="me", why="")
    return store, folder


def write_csv(bars: Bars, path: Path) -> None:
    lines = [",".join(("timestamp", *COLUMNS))]
    lines += [",".join(map(repr, (int(at), *row.tolist()))) for at, row in zip(bars.time, bars.values, strict=True)]
    path.write_text("\n".join(lines))


def test_the_forecast_is_the_bundle_s_from_the_bars_closed_by_then(
    served: tuple[DirectoryStore, Path], tmp_path: Path
) -> None:
    store, folder = served
    write_csv(BARS, tmp_path / "BTCUSDT_1h.csv")
    cut = tf.from_epoch_ms(int(BARS.time[580]))
    words = ["predict", "BTCUSDT", "--source", f"files:{tmp_path}", "--as-of", cut.isoformat(), "--store", store.url]
    expected = forecast(open_forecaster(read_directory(folder)), BARS.rows(0, 580))
    found = json.loads(CliRunner().invoke(atb, [*words, "--json"], catch_exceptions=False).output)
    assert found["price"] == pytest.approx(expected.price, rel=1e-6)
    assert found["last_close"] == BARS.close[579]
    assert found["run"] == "r1"
    said = CliRunner().invoke(atb, words, catch_exceptions=False).output
    assert f"{expected.price:.6g}"[:6] in said
    assert "skill +0.2000 over the last close" in said
    assert "made-up" not in said


def test_a_forecast_from_made_up_bars_says_so(served: tuple[DirectoryStore, Path]) -> None:
    words = ["predict", "BTCUSDT", "--source", "sample", "--as-of", "2026-03-01", "--store", served[0].url]
    said = CliRunner().invoke(atb, words, catch_exceptions=False).output
    assert said.splitlines()[0] == "forecast from made-up bars: this is not a real market"
    assert json.loads(CliRunner().invoke(atb, [*words, "--json"], catch_exceptions=False).output)["synthetic"]


def test_a_forecast_inside_the_bars_it_was_trained_on_says_so(
    served: tuple[DirectoryStore, Path], tmp_path: Path
) -> None:
    store, _ = served
    write_csv(BARS, tmp_path / "BTCUSDT_1h.csv")
    for row, unseen in ((500, False), (501, True)):  # the last bar read is the one before
        cut = tf.from_epoch_ms(int(BARS.time[row])).isoformat()
        words = ["predict", "BTCUSDT", "--source", f"files:{tmp_path}", "--as-of", cut, "--store", store.url]
        found = json.loads(CliRunner().invoke(atb, [*words, "--json"], catch_exceptions=False).output)
        assert (found["unseen"], found["unseen_from"]) == (unseen, TEST_FROM.isoformat())
        said = CliRunner().invoke(atb, words, catch_exceptions=False).output
        assert ("it has seen all before" in said) != unseen
