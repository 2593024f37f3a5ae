"""A model as it serves: it forecasts from raw bars through its ONNX file, whatever features it was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from atb.contract import bundle
from atb.contract import timeframe as tf
from atb.documents.champion import Champion
from atb.documents.result import FileEntry, Result
from atb.errors import NotFound, SpecError, Unreadable
from atb.registry.pull import bundle_file, read_file
from atb.storage import Store
from atb.storage.read import read_document
from trainer.bars.frame import Bars, Floats, Times, segment_starts
from trainer.forecast import Forecaster, open_forecaster, run_from_bars

_BATCH = 256


@dataclass(frozen=True)
class LoadedModel:
    """A model that can forecast. Bars from ``unseen_from`` on had no part in its training."""

    run: str
    unseen_from: datetime
    model: Forecaster


def open_champion(store: Store, champion: Champion) -> LoadedModel:
    """The champion, its files verified. Raises SpecError or StoreError if it can't be used."""
    _validate_market(store, champion)
    return LoadedModel(champion.run, champion.unseen_from, _open(store, champion.run, champion.files))


def open_result(store: Store, result: Result) -> LoadedModel:
    """A committed model, its files verified. Raises SpecError or StoreError if it can't be used."""
    unseen_from = result.split.test_from or result.spec.as_of
    return LoadedModel(result.run, unseen_from, _open(store, result.run, result.files))


def has_bars(loaded_model: LoadedModel, bars: Bars, ends: Times) -> npt.NDArray[np.bool_]:
    """Which window ends have the gap-free bars before them that the model takes."""
    starts = segment_starts(bars)
    begins = starts[np.searchsorted(starts, ends, side="right") - 1]
    whole: npt.NDArray[np.bool_] = ends - begins + 1 >= loaded_model.model.rows
    return whole


def answerable(loaded_model: LoadedModel, bars: Bars, ends: Times) -> npt.NDArray[np.bool_]:
    """Which window ends the model can forecast and has not seen."""
    unseen = bars.time[ends] >= tf.epoch_ms(loaded_model.unseen_from)
    chosen: npt.NDArray[np.bool_] = has_bars(loaded_model, bars, ends) & unseen
    return chosen


def ask(loaded_model: LoadedModel, bars: Bars, ends: Times) -> Floats:
    """The forecast price at each end, or the log of the volatility per bar, float64[len(ends)]."""
    return read_forecasts(loaded_model, bars, ends, ask_all(loaded_model, bars, ends))


def read_forecasts(loaded_model: LoadedModel, bars: Bars, ends: Times, answers: dict[str, npt.NDArray[Any]]) -> Floats:
    """The same from all the model's answers."""
    if loaded_model.model.target == "volatility":
        logs: Floats = np.log(answers[bundle.VOLATILITY][:, 0].astype(np.float64))
        return logs
    prices: Floats = bars.close[ends] * np.exp(answers[bundle.RETURN][:, 0].astype(np.float64))
    return prices


def ask_all(loaded_model: LoadedModel, bars: Bars, ends: Times) -> dict[str, npt.NDArray[Any]]:
    """Every output of the model by name, ``[len(ends), …]``."""
    found = []
    for start in range(0, len(ends), _BATCH):
        stretches = [bars.rows(end + 1 - loaded_model.model.rows, end + 1) for end in ends[start : start + _BATCH]]
        found.append(run_from_bars(loaded_model.model.session, stretches, loaded_model.model.extra_columns))
    return {name: np.concatenate([each[name] for each in found]) for name in found[0]}


def _validate_market(store: Store, champion: Champion) -> None:
    """Earlier versions had one champion for all markets of a symbol: it is compared with models of its own only."""
    if champion.source:  # which they did not write
        return
    try:
        market = read_document(store, Result, champion.result).spec.market
    except (NotFound, Unreadable):
        return
    if market != champion.market:
        raise SpecError(
            f"{champion.run} is a model of the market {market}, which an earlier version let serve as one of "
            f"{champion.market}; put another in its place with: atb models promote RUN {champion.symbol} --force"
        )


def _open(store: Store, run: str, files: tuple[FileEntry, ...]) -> Forecaster:
    return open_forecaster(lambda name: read_file(store, bundle_file(files, name, run)))
