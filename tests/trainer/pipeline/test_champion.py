from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from atb.contract import timeframe as tf
from atb.documents.champion import Champion
from atb.documents.evaluation import ChampionComparison, NotCompared
from atb.documents.result import FileEntry
from atb.registry.champions import ModelKey
from atb.storage import MemoryStore, Store
from tests.atb.documents.test_reading import DAMAGED
from tests.atb.registry.candidates import NOW, SHOWN, make_result
from tests.trainer.export.test_export import export
from tests.trainer.export.trained import Fitted, make_bars, make_fitted
from trainer.bars.frame import Bars, join_bars
from trainer.evaluate.backtest import DEFAULT_RULES
from trainer.evaluate.metrics import Floats
from trainer.evaluate.rows import JudgedRows
from trainer.forecast import Forecaster
from trainer.pipeline.champion import ask_champion, compare_met, judge_met, meet_champion
from trainer.pipeline.loaded_model import LoadedModel


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    return make_fitted("fast", "relative", make_bars(700, 1e-6))


@pytest.fixture(scope="module")
def files(fitted: Fitted, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder: Path = tmp_path_factory.mktemp("bundle")
    export(fitted, folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def serve(files: dict[str, bytes], bars: Bars) -> tuple[MemoryStore, Champion]:
    store = MemoryStore()
    entries = []
    for name, data in files.items():
        store.put(f"b/{name}", data)
        digest = hashlib.sha256(data).hexdigest()
        entries.append(FileEntry(path=name, key=f"b/{name}", size=len(data), sha256=digest))
    return store, Champion(
        symbol="BTCUSDT",
        timeframe="1h",
        preset="fast",
        run="r0",
        job="BTCUSDT-fast",
        result="r",
        spec_digest="0",
        as_of=NOW,
        unseen_from=tf.from_epoch_ms(int(bars.time[0])),
        metrics=make_result().metrics,
        baselines={},
        files=tuple(entries),
        promoted=NOW,
        by="me",
        entry="e0",
    )


def judged(fitted: Fitted, first: int = 500) -> tuple[JudgedRows, Floats]:
    rows = JudgedRows(fitted.bars.close, np.arange(first, len(fitted.bars) - 1), 1, fitted.bars.step_ms)
    return rows, rows.last * 1.0001


def compared(store: Store, champion: Champion, bars: Bars, rows: JudgedRows, predicted: Floats) -> ChampionComparison:
    found = compare_met(ask_champion(store, champion, bars, rows), rows, predicted, DEFAULT_RULES)
    assert isinstance(found, ChampionComparison)
    return found


def problem_of(store: Store, champion: Champion, bars: Bars, rows: JudgedRows, predicted: Floats) -> str:
    found = compare_met(ask_champion(store, champion, bars, rows), rows, predicted, DEFAULT_RULES)
    assert isinstance(found, NotCompared)
    return found.problem


def test_the_champion_answers_as_the_net_behind_it_on_the_same_rows(fitted: Fitted, files: dict[str, bytes]) -> None:
    store, champion = serve(files, fitted.bars)
    rows, predicted = judged(fitted)
    found = compared(store, champion, fitted.bars, rows, predicted)
    assert found.entry == "e0"
    assert found.rows == len(rows.ends)
    windows = np.stack([fitted.flat[end - 23 : end + 1] for end in rows.ends])
    forecast = fitted.trained.target.inverse_transform(fitted.predict(fitted.trained.scaler.transform(windows)))
    error = np.sqrt(np.mean((rows.last * np.exp(forecast) - rows.actual) ** 2))
    assert found.champion["rmse"] == pytest.approx(error, rel=1e-5)
    assert found.candidate["rmse"] == pytest.approx(np.sqrt(np.mean((predicted - rows.actual) ** 2)))


def test_rows_that_the_champion_was_trained_on_are_left_out(fitted: Fitted, files: dict[str, bytes]) -> None:
    store, champion = serve(files, fitted.bars)
    rows, predicted = judged(fitted)
    later = champion.model_copy(update={"unseen_from": tf.from_epoch_ms(int(fitted.bars.time[600]))})
    assert compared(store, later, fitted.bars, rows, predicted).rows == 99
    latest = champion.model_copy(update={"unseen_from": champion.unseen_from + timedelta(days=365)})
    assert "only 0 test rows" in problem_of(store, latest, fitted.bars, rows, predicted)


def test_rows_after_a_gap_wait_until_the_champion_has_its_bars(fitted: Fitted, files: dict[str, bytes]) -> None:
    store, champion = serve(files, fitted.bars)
    bars = join_bars([fitted.bars.rows(0, 100), fitted.bars.rows(101, 700)])
    needed = fitted.trained.bar_rows
    rows = JudgedRows(bars.close, np.arange(300, len(bars) - 1), 1, bars.step_ms)
    assert compared(store, champion, bars, rows, rows.last).rows == len(bars) - 1 - (100 + needed - 1)


def test_why_models_are_not_comparable_is_reported(fitted: Fitted, files: dict[str, bytes]) -> None:
    store, champion = serve(files, fitted.bars)
    rows, predicted = judged(fitted)
    farther = JudgedRows(rows.close, rows.ends[:-2], 3, rows.bar_ms)
    assert problem_of(store, champion, fitted.bars, farther, predicted[:-2]) == "r0 forecasts 1 bars ahead and not 3"
    bare = champion.model_copy(update={"files": ()})
    assert "has no feature_schema.json" in problem_of(store, bare, fitted.bars, rows, predicted)


def test_a_champion_of_another_market_that_an_earlier_version_let_serve_is_not_compared(
    fitted: Fitted, files: dict[str, bytes]
) -> None:
    store, champion = serve(files, fitted.bars)
    rows, predicted = judged(fitted)
    result = make_result(options={"market": "um"})
    store.put(champion.result, result.to_bytes())
    assert "r0 is a model of the market um" in problem_of(store, champion, fitted.bars, rows, predicted)
    own = champion.model_copy(update={"market": "um"})
    assert compared(store, own, fitted.bars, rows, predicted).rows == len(rows.ends)


def test_a_damaged_champion_is_a_problem_and_no_failure(fitted: Fitted, files: dict[str, bytes]) -> None:
    store, champion = serve(files, fitted.bars)
    store.put("b/model_from_bars.onnx", b"junk")
    rows, predicted = judged(fitted)
    assert "is not what its result says" in problem_of(store, champion, fitted.bars, rows, predicted)


class Answering:
    """A session of ONNX Runtime's that answers with one number, or fails."""

    def __init__(self, answer: float | Exception) -> None:
        self.answer = answer

    def run(self, names: Sequence[str], feed: dict[str, Any]) -> list[Any]:
        if isinstance(self.answer, Exception):
            raise self.answer
        return [np.full((len(feed["bars"]), 1), self.answer, np.float32) for _ in names]


@pytest.mark.parametrize("answer", [np.inf, -np.inf, np.nan, RuntimeError("\x1b[2Jbroken"), MemoryError()])
def test_a_champion_that_answers_with_no_price_or_raises_fails_no_training(answer: float | Exception) -> None:
    bars = make_bars(700, 1.0)
    rows = JudgedRows(bars.close, np.arange(500, 699), 1, bars.step_ms)
    model = Forecaster(session=Answering(answer), timeframe="1h", horizon=1, rows=50, extra_columns=[])
    champion = serve({}, bars)[1]
    loaded = LoadedModel("r0", tf.from_epoch_ms(0), model)
    met = ask_champion(MemoryStore(), champion, bars, rows, lambda store, champion: loaded)
    found = compare_met(met, rows, rows.last, DEFAULT_RULES)
    assert isinstance(found, NotCompared)
    assert found.problem.isprintable()
    result = make_result(champion=found)
    assert [rule.name for rule in judge_met(result, met, SHOWN) if not rule.passed] == ["champion-measured"]


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED)
def test_an_unreadable_pointer_fails_no_training_but_every_gate(data: bytes) -> None:
    store, key = MemoryStore(), ModelKey("BTCUSDT", "1h", "fast")
    bars = make_bars(700, 1.0)
    rows = JudgedRows(bars.close, np.arange(500, 699), 1, bars.step_ms)
    assert meet_champion(store, key, bars, rows) is None
    store.put(key.pointer, data)
    met = meet_champion(store, key, bars, rows)
    assert met is not None
    found = compare_met(met, rows, rows.last, DEFAULT_RULES)
    assert isinstance(found, NotCompared)
    assert found.problem.startswith(key.pointer)
    assert "champion-measured" in [rule.name for rule in judge_met(make_result(), met, None) if not rule.passed]
