"""What a job learns from: nothing after the end of the train rows."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from atb.contract import timeframe as tf
from atb.contract.spec import Spec
from atb.errors import SpecError
from atb.registry.warm import pin_warm_start
from atb.storage import MemoryStore
from tests.atb.registry.test_warm import MODEL_KEY, commit_with_net
from tests.trainer.pipeline.market import DEVICE, PLAIN, ROWS, START, tiny_spec, walk_close
from trainer.bars.frame import Bars
from trainer.features.training_data import TrainingData, load_training_data, split_training_data
from trainer.features.windows import gather_windows
from trainer.networks.build import load_network
from trainer.pipeline.learn import FittedModel, learn, load_warm_start
from trainer.pipeline.stages import StageClock


class GivenSource:
    """The bars it was given."""

    name = "given"
    synthetic = True
    live = False

    def __init__(self, bars: Bars) -> None:
        self._bars = bars

    def fetch(self, symbol: str, timeframe: str, market: str, start_ms: int, end_ms: int) -> Bars:
        return self._bars.take((self._bars.time >= start_ms) & (self._bars.time < end_ms))


def make_bars(close: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Bars:
    opened = np.concatenate([close[:1], close[:-1]])
    high, low = np.maximum(opened, close) * 1.001, np.minimum(opened, close) * 0.999
    time = tf.epoch_ms(START) + 3_600_000 * np.arange(len(close), dtype=np.int64)
    return Bars("WALK", "1h", time, np.column_stack([opened, high, low, close, 9.0 + np.arange(len(close)) * 7 % 24]))


def fit_model(spec: Spec, bars: Bars) -> tuple[TrainingData, FittedModel]:
    data = load_training_data(spec, MemoryStore(), GivenSource(bars))
    split = split_training_data(spec, data)
    return data, learn(spec, data, split, DEVICE.device, StageClock())


@pytest.mark.parametrize("features", ["classic", "relative"])
def test_other_rows_after_the_train_end_change_nothing_that_is_learnt_from(features: str) -> None:
    spec = tiny_spec(Path("unused"), "WALK", epochs=1, features=features, net=PLAIN)
    close = walk_close(seed=3)
    stop = int(ROWS * 0.7)
    other = np.concatenate([close[:stop], 1_000 * walk_close(seed=4)[stop:]])
    (one, first), (two, second) = fit_model(spec, make_bars(close)), fit_model(spec, make_bars(other))
    assert first.split.train_stop == stop
    assert first.scaler.to_dict() == second.scaler.to_dict()
    assert first.target == second.target
    assert np.array_equal(first.split.train, second.split.train)
    windows = [
        fitted_model.scaler.transform(gather_windows(data.flat, fitted_model.split.train, spec.sequence_length))
        for data, fitted_model in ((one, first), (two, second))
    ]
    assert np.array_equal(windows[0], windows[1])
    assert first.fitted.history[0].loss == second.fitted.history[0].loss
    assert first.fitted.history[0].validation_loss != second.fitted.history[0].validation_loss


def test_a_net_that_may_unpack_to_any_size_is_not_opened(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model.keras", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("config.json", "{}")
    with pytest.raises(ValueError, match="packed by bzip2, LZMA"):
        load_network(tmp_path / "model.keras")


def test_a_warm_start_that_is_no_net_is_one_line() -> None:
    store = MemoryStore()
    later = commit_with_net(store).spec.as_of
    spec = tiny_spec(Path("unused"), "WALK", warm_start=pin_warm_start(store, "r1", MODEL_KEY))
    with pytest.raises(SpecError, match=r"--warm-start runs/.*/model\.keras is no Keras file of a net: "):
        load_warm_start(spec, store, 9, later)
