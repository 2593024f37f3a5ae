"""A job scores the champion it meets on the bars that closed after the champion's cut, through its ONNX file."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from atb.contract import timeframe as tf
from atb.documents.champion import Champion
from atb.documents.evidence import TestRows
from atb.errors import AtbError
from atb.registry.record import LiveRow, extend_record
from atb.storage import Store
from trainer.bars.frame import Bars, Floats, Times
from trainer.evaluate.drift import stability_indices
from trainer.features.sets import Features
from trainer.pipeline.champion import Meeting

log = logging.getLogger(__name__)

_DRIFT_ROWS = 720
"""Inputs are compared over at most this many of the latest rows since the cut."""


def record_champion(
    store: Store,
    run: str,
    met: Meeting,
    bars: Bars,
    ends: Times,
    predicted: Floats,
    test_rows: TestRows,
    inputs: tuple[Sequence[str], Features],
) -> None:
    """Add the candidate's test rows that are new to the champion's record. What can't be written is logged: a champion
    must not fail a training.

    ``ends`` are the candidate's test windows and ``predicted`` its forecasts of them; the bar is the candidate's, so
    the champion's forecast beyond it is the candidate's plus the difference. ``inputs``: the features' names and
    values, ``[rows of bars, F]``.
    """
    if met.champion is None or met.shared is None or met.forecasts is None:
        return
    champion = met.champion
    apart = np.zeros(len(ends))
    apart[met.shared] = _beyond(champion, met.forecasts) - _beyond(champion, predicted[met.shared])
    cut = tf.epoch_ms(champion.as_of) - champion.horizon * bars.step_ms
    chosen = met.shared & (bars.time[ends] >= cut)
    skipped = len(ends) - len(test_rows.time)  # of very many test rows the document keeps the latest
    chosen[:skipped] = False
    inside = _inside(met, bars.close[ends[met.shared] + champion.horizon], chosen[met.shared])
    rows = [
        LiveRow(test_rows.time[at], test_rows.forecast[at] + more, test_rows.outcome[at], test_rows.scale[at], within)
        for at, more, within in zip(
            (np.flatnonzero(chosen) - skipped).tolist(), apart[chosen].tolist(), inside, strict=True
        )
    ]
    try:
        entry = extend_record(store, champion, run, bars.step_ms, rows, dict(_drift(champion, bars, inputs)))
    except AtbError as problem:
        log.warning("the record of the champion, run %s, was not extended: %s", champion.run, problem)
        return
    if entry is not None:
        covered = "".join(f", {band.coverage:.1%} within its {band.level:g} band" for band in entry.bands[-1:])
        log.info(
            "the champion, run %s: skill %+.4f on %d live rows%s", champion.run, entry.skill, entry.total_rows, covered
        )


def _beyond(champion: Champion, forecast: Floats) -> Floats:
    """Forecasts on the logarithmic scale that outcomes are measured on: prices are forecast as they are."""
    logs: Floats = np.log(forecast) if champion.target == "return" else forecast
    return logs


def _inside(met: Meeting, closes: Floats, chosen: npt.NDArray[np.bool_]) -> list[dict[float, bool]]:
    """For each chosen row, by level, whether the close lay within the champion's band. ``closes``: of all rows that it
    forecast."""
    if met.bands is None:
        return [{}] * int(chosen.sum())
    bands = met.bands.take(chosen)
    within = (closes[chosen, None] >= bands.lower) & (closes[chosen, None] <= bands.upper)
    return [dict(zip(bands.levels, row, strict=True)) for row in within.tolist()]


def _drift(champion: Champion, bars: Bars, inputs: tuple[Sequence[str], Features]) -> list[tuple[str, float]]:
    names, values = inputs
    cut = int(np.searchsorted(bars.time, tf.epoch_ms(champion.as_of)))
    since = values[max(cut, len(values) - _DRIFT_ROWS) :]
    return [(name, round(index, 4)) for name, index in stability_indices(names, values[:cut], since)]
