"""The champion on the candidate's own test rows: asked through its ONNX model, so that it answers as it serves."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from trainer.bars.frame import Bars, Floats, Times, segment_starts
from trainer.contract import bundle
from trainer.contract import timeframe as tf
from trainer.contract.champion import Champion
from trainer.errors import AtbError
from trainer.evaluate.backtest import DEFAULT_RULES, TradingRules
from trainer.evaluate.judge import JudgedRows, compare_forecasts
from trainer.evaluate.metrics import PROOF_ROWS
from trainer.forecast import open_session, run_from_bars
from trainer.registry.pull import bundle_file, read_file
from trainer.storage import Store

_BATCH = 256


class _NotComparable(Exception):
    """Why there is no comparison, in words."""


def measure_champion(
    store: Store,
    champion: Champion,
    bars: Bars,
    rows: JudgedRows,
    predicted: Floats,
    rules: TradingRules = DEFAULT_RULES,
) -> dict[str, Any]:
    """What goes into ``Result.evaluation["champion"]``: both models' metrics and trading on the rows both can answer.

    ``bars``: all rows that ``rows`` counts in; ``predicted``: the candidate's prices, float64[len(rows.ends)]. Rows
    before the champion's ``unseen_from`` are left out: it was trained on them. Where no fair comparison is possible
    the answer holds a ``problem`` in words, which fails the gate; a broken champion must not fail a training.
    """
    who = {"entry": champion.entry, "run": champion.run, "job": champion.job}
    try:
        if champion.horizon != rows.horizon:
            raise _NotComparable(f"it forecasts {champion.horizon} bars ahead and the candidate {rows.horizon}")
        schema = json.loads(read_file(store, bundle_file(champion, bundle.FEATURE_SCHEMA)))
        model = read_file(store, bundle_file(champion, bundle.MODEL_FROM_BARS))
        extras = list(schema["extra_columns"])
        if missing := [name for name in extras if name not in bars.extra]:
            raise _NotComparable(f"it reads the column {missing[0]}, which these bars don't have")
        needed = next(file["rows"] for file in schema["files"] if file["file"] == bundle.MODEL_FROM_BARS)
        shared = _shared(champion, bars, rows.ends, needed)
        if np.count_nonzero(shared) < PROOF_ROWS * rows.horizon:
            raise _NotComparable(
                f"only {np.count_nonzero(shared)} test rows are new to it and have {needed} bars before"
            )
        both = JudgedRows(rows.close, rows.ends[shared], rows.horizon, rows.bar_ms)
        answers = both.last * np.exp(_ask(model, bars, both.ends, needed, extras))
        return who | compare_forecasts(both, predicted[shared], answers, rules)
    except (_NotComparable, AtbError) as problem:
        return who | {"problem": str(problem)}


def _shared(champion: Champion, bars: Bars, ends: Times, needed: int) -> Any:
    """Which ends have ``needed`` gap-free bars up to them and a target that the champion was not trained on."""
    starts = segment_starts(bars)
    begins = starts[np.searchsorted(starts, ends, side="right") - 1]
    return (ends - begins + 1 >= needed) & (bars.time[ends] >= tf.epoch_ms(champion.unseen_from))


def _ask(model: bytes, bars: Bars, ends: Times, needed: int, extras: list[str]) -> Floats:
    session = open_session(model)
    found = []
    for start in range(0, len(ends), _BATCH):
        stretches = [bars.rows(end + 1 - needed, end + 1) for end in ends[start : start + _BATCH]]
        found.append(run_from_bars(session, stretches, extras)[bundle.RETURN][:, 0].astype(np.float64))
    return np.concatenate(found)
