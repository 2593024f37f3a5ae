"""The next forecast of a champion in a store."""

from __future__ import annotations

import dataclasses
import hashlib
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from atb.contract import timeframe as tf
from atb.documents.champion import Champion
from atb.documents.result import FileEntry
from atb.errors import DataError, DataNotReady, StoreError
from atb.storage import MemoryStore
from tests.atb.registry.candidates import NOW, make_result
from tests.trainer.export.test_export import export
from tests.trainer.export.trained import make_bars, make_fitted
from trainer.bars.frame import Bars, join_bars
from trainer.bars.source import Source, open_source
from trainer.forecast import Forecast, forecast, open_forecaster, read_directory
from trainer.serve.forecasts import Forecasts, NoForecast, make_signal, open_served, predict_next, shared_exit_code

HISTORY = make_bars(600, 1e5)
END = tf.from_epoch_ms(int(HISTORY.time[-1]) + HISTORY.step_ms)


@dataclass
class Given:
    """A source that has these bars."""

    bars: Bars
    live: bool = True
    name: str = "given"
    synthetic: bool = True

    def fetch(self, symbol: str, timeframe: str, market: str, start_ms: int, end_ms: int) -> Bars:
        return self.bars.take((self.bars.time >= start_ms) & (self.bars.time < end_ms))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    export(make_fitted("fast", "relative", HISTORY), folder)
    return folder


def serve(folder: Path, **spec: object) -> tuple[MemoryStore, Champion]:
    """A store with a champion whose bundle is the folder's."""
    store, files = MemoryStore(), []
    for path in folder.iterdir():
        data = path.read_bytes()
        store.put(f"b/{path.name}", data)
        files.append(
            FileEntry(path=path.name, key=f"b/{path.name}", size=len(data), sha256=hashlib.sha256(data).hexdigest())
        )
    result = make_result()
    store.put("r", result.model_copy(update={"spec": result.spec.model_copy(update=spec)}).to_bytes())
    return store, Champion(
        symbol="BTCUSDT",
        timeframe="1h",
        preset="fast",
        run="r1",
        job=result.job,
        result="r",
        spec_digest=result.spec_digest,
        horizon=1,
        as_of=NOW,
        unseen_from=NOW,
        metrics=result.metrics,
        baselines={},
        files=tuple(files),
        promoted=NOW,
        by="me",
        entry="e",
    )


def ask(store: MemoryStore, champion: Champion, as_of: datetime, source: Source | None = None) -> Forecast:
    model = open_served(store, champion)
    return predict_next(model, as_of, source or open_source(model.spec.source, store))


def test_the_champion_forecasts_from_the_last_bar_that_has_closed(folder: Path) -> None:
    store, champion = serve(folder)
    expected = forecast(open_forecaster(read_directory(folder)), HISTORY)
    assert ask(store, champion, END + timedelta(minutes=59), Given(HISTORY)) == expected
    assert expected.target_open == END


def test_bars_that_had_not_closed_are_not_read(folder: Path) -> None:
    store, champion = serve(folder)
    earlier = ask(store, champion, END - timedelta(minutes=1), Given(HISTORY))
    assert earlier.target_open == END - timedelta(hours=1)


def test_bars_come_from_the_champions_source_by_default(folder: Path) -> None:
    store, champion = serve(folder, source="sample")
    assert ask(store, champion, NOW) != ask(store, champion, END, Given(HISTORY))


def test_a_live_source_without_the_last_bar_is_retried_later(folder: Path) -> None:
    store, champion = serve(folder)
    with pytest.raises(DataNotReady, match="is not there yet"):
        ask(store, champion, END + timedelta(hours=1), Given(HISTORY))


@pytest.mark.parametrize("rows", [1, 40, 320, 599])
def test_file_bars_that_end_too_early_are_reported_with_their_end(rows: int, folder: Path) -> None:
    store, champion = serve(folder)
    early = Given(HISTORY.rows(0, rows) if rows > 300 else HISTORY.rows(600 - 310, 600 - 310 + rows), live=False)
    with pytest.raises(DataNotReady, match=r"is not there yet; they end at .*; try later, or choose an earlier"):
        ask(store, champion, END, early)


def test_bars_of_another_timeframe_make_no_forecast(folder: Path) -> None:
    store, champion = serve(folder)
    finer = dataclasses.replace(HISTORY, time=HISTORY.time[-1] - (len(HISTORY) - 1 - np.arange(len(HISTORY))) * 300_000)
    with pytest.raises(DataError, match="the rows are 5m bars, not 1h"):
        ask(store, champion, END, Given(finer))


def test_a_gap_is_refused_or_filled_as_in_the_training(folder: Path) -> None:
    holed = Given(join_bars([HISTORY.rows(0, 550), HISTORY.rows(551, 600)]))
    store, champion = serve(folder)
    with pytest.raises(DataError, match="without a gap, but only the last 49"):
        ask(store, champion, END, holed)
    store, champion = serve(folder, on_gap="fill")
    assert ask(store, champion, END, holed).target_open == END


def test_a_damaged_model_is_not_run(folder: Path) -> None:
    store, champion = serve(folder)
    store.put("b/model_from_bars.onnx", b"something else")
    with pytest.raises(StoreError, match="sha256"):
        ask(store, champion, END, Given(HISTORY))


def test_bars_with_a_broken_row_are_those_with_a_gap(folder: Path) -> None:
    store, champion = serve(folder)
    values = HISTORY.values.copy()
    values[580, 3] = -1
    with pytest.raises(DataError, match="only the last 19"):
        ask(store, champion, END, Given(dataclasses.replace(HISTORY, values=values)))


def test_a_redenominated_coin_has_a_forecast_once_enough_bars_came_after_it(folder: Path) -> None:
    store, champion = serve(folder)
    rows = open_forecaster(read_directory(folder)).rows

    def split(row: int) -> Bars:
        times = np.where(np.arange(len(HISTORY)) < row, 1000.0, 1.0)
        return dataclasses.replace(HISTORY, values=HISTORY.values * times[:, None])

    at, until = (f"{END + timedelta(hours=hours):%Y-%m-%dT%H:%MZ}" for hours in (1 - rows, 1))
    with pytest.raises(
        DataError,
        match=f"level since {at}, as after a redenomination, and the model reads {rows} bars of one level; "
        f"it can forecast again from {until} on",
    ):
        ask(store, champion, END, Given(split(len(HISTORY) - rows + 1)))
    assert ask(store, champion, END, Given(split(len(HISTORY) - rows))) == ask(store, champion, END, Given(HISTORY))


def test_the_direction_is_the_one_that_the_backtest_would_trade(folder: Path) -> None:
    found = forecast(open_forecaster(read_directory(folder)), HISTORY)
    assert found.price is not None
    moved = abs(found.price / found.last_close - 1) * 10_000
    way = "up" if found.price > found.last_close else "down"
    for threshold, expected in ((moved * 0.99, way), (moved * 1.01, "none")):
        store, champion = serve(folder, threshold_bps=threshold)
        signal = make_signal(open_served(store, champion), found, NOW, synthetic=False)
        assert (signal.direction, signal.threshold_bps) == (expected, threshold)


def test_a_signal_says_how_old_the_model_is_when_the_bar_closes(folder: Path) -> None:
    store, champion = serve(folder)
    older = champion.model_copy(update={"as_of": END - timedelta(days=3)})
    found = forecast(open_forecaster(read_directory(folder)), HISTORY)
    assert make_signal(open_served(store, older), found, NOW, synthetic=False).age_days == 3


def test_one_bad_champion_is_a_row_that_says_so(folder: Path) -> None:
    store, champion = serve(folder, source="sample")
    gone = champion.model_copy(update={"symbol": "GONE", "result": "nowhere", "entry": "f"})
    first, second = Forecasts(store, keep=True).make([gone, champion], NOW, NOW)
    assert isinstance(first, NoForecast)
    assert (first.model, first.exit_code) == ("GONE 1h fast", 75)
    assert not isinstance(second, NoForecast)
    assert [entry.key for entry in store.list("signals/")] == ["signals/BTCUSDT/1h/fast/20260131T060000Z.json"]
    assert (shared_exit_code([first, second]), shared_exit_code([second])) == (75, 0)
    assert shared_exit_code([first, NoForecast("X", "no bars", 10)]) == 1


def test_a_signal_that_was_published_stays_as_it_was(folder: Path) -> None:
    store, champion = serve(folder, source="sample")
    forecasts = Forecasts(store, keep=True)
    key = "signals/BTCUSDT/1h/fast/20260131T060000Z.json"
    forecasts.make([champion], NOW, NOW)
    first = store.get(key)
    later = champion.model_copy(update={"entry": "f", "run": "r2"})
    assert not isinstance(forecasts.make([later], NOW + timedelta(minutes=5), NOW)[0], NoForecast)
    assert store.get(key) == first


def test_forecasts_and_exports_load_no_tensorflow() -> None:
    code = (
        "import sys, trainer.cli.forecasts, trainer.serve.follow, trainer.serve.exports; "
        "print(sorted({'tensorflow', 'keras', 'matplotlib', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
