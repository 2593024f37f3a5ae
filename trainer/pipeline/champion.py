"""The champion beside a candidate, on the test rows of the candidate that are new to both."""

from __future__ import annotations

from typing import Any

import numpy as np

from atb.contract import timeframe as tf
from atb.contract.spec import Spec
from atb.documents.champion import Champion
from atb.documents.evaluation import ChampionComparison, ForecastComparison, NotCompared
from atb.documents.result import Result
from atb.errors import AtbError, SpecError
from atb.storage import Store
from trainer.bars.frame import Bars, Floats, segment_starts
from trainer.bars.load import load_bars
from trainer.evaluate.backtest import Rows, TradingRules
from trainer.evaluate.evaluation import JudgedRows, compare_forecasts
from trainer.evaluate.metrics import PROOF_ROWS
from trainer.features.sets import feature_set
from trainer.pipeline.loaded_model import LoadedModel, answerable, ask, open_champion, open_result


def trading_rules(spec: Spec) -> TradingRules:
    """The costs and thresholds that a spec asks for."""
    return TradingRules(spec.fee_bps, spec.slippage_bps, spec.threshold_bps, spec.short)


def measure_champion(
    store: Store, champion: Champion, bars: Bars, rows: JudgedRows, predicted: Floats, rules: TradingRules
) -> ChampionComparison | NotCompared:
    """Both models' metrics and trading on the rows both can answer.

    ``bars``: all rows that ``rows`` counts in; ``predicted``: the candidate's prices, float64[len(rows.ends)]. Where
    there is no fair comparison the answer says why, which fails the gate: a champion that can't be asked must not
    fail a training.
    """
    try:
        served = open_champion(store, champion)
        shared = _shared(served, bars, rows)
    except AtbError as problem:
        return NotCompared(**_identity(champion), problem=str(problem))
    both = JudgedRows(rows.close, rows.ends[shared], rows.horizon, rows.bar_ms)
    found = compare_forecasts(both, predicted[shared], ask(served, bars, both.ends), rules)
    return ChampionComparison(**_identity(champion), **dict(found))


def compare_again(store: Store, result: Result, champion: Champion) -> ChampionComparison | NotCompared:
    """The same for a committed candidate whose job met another champion or none: its bars are read once more."""
    try:
        found = compare_models(store, result, open_result(store, result), open_champion(store, champion))
    except AtbError as problem:
        return NotCompared(**_identity(champion), problem=str(problem))
    return ChampionComparison(**_identity(champion), **dict(found))


def compare_models(store: Store, result: Result, one: LoadedModel, other: LoadedModel) -> ForecastComparison:
    """Two models on the bars of ``result``, from where both are new to them: ``one`` as candidate, ``other`` as
    champion. Raises SpecError where no fair comparison is possible, DataError where the bars are not the same."""
    spec = result.spec
    loaded = load_bars(spec, store, feature_set(spec.features).memory, 1)
    if loaded.bars.digest != result.bars.digest:
        raise SpecError(f"the bars of {spec.symbol} are not those of run {result.run} any more; train it again")
    bars = loaded.bars
    ends = _ends_from(bars, tf.epoch_ms(max(one.unseen_from, other.unseen_from)), spec.horizon)
    rows = JudgedRows(bars.close, ends, spec.horizon, bars.step_ms)
    rows = JudgedRows(bars.close, ends[_shared(one, bars, rows)], spec.horizon, bars.step_ms)
    rows = JudgedRows(bars.close, rows.ends[_shared(other, bars, rows)], spec.horizon, bars.step_ms)
    return compare_forecasts(rows, ask(one, bars, rows.ends), ask(other, bars, rows.ends), trading_rules(spec))


def _shared(served: LoadedModel, bars: Bars, rows: JudgedRows) -> Any:
    if served.model.horizon != rows.horizon:
        raise SpecError(f"{served.run} forecasts {served.model.horizon} bars ahead and not {rows.horizon}")
    if missing := [name for name in served.model.extra_columns if name not in bars.extra]:
        raise SpecError(f"{served.run} reads the column {missing[0]}, which these bars don't have")
    shared = answerable(served, bars, rows.ends)
    count = int(np.count_nonzero(shared))
    if count < PROOF_ROWS * rows.horizon:
        raise SpecError(f"only {count} test rows are new to {served.run} and have {served.model.rows} bars before them")
    return shared


def _ends_from(bars: Bars, first_ms: int, horizon: int) -> Rows:
    """Rows from an instant on whose target lies in the same segment."""
    ends = np.arange(int(np.searchsorted(bars.time, first_ms)), len(bars) - horizon, dtype=np.int64)
    starts = segment_starts(bars)
    same = np.searchsorted(starts, ends, side="right") == np.searchsorted(starts, ends + horizon, side="right")
    chosen: Rows = ends[same]
    return chosen


def _identity(champion: Champion) -> dict[str, str]:
    return {"entry": champion.entry, "run": champion.run, "job": champion.job}
