"""The champion beside a candidate, on the test rows of the candidate that are new to both."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from atb.contract import bundle
from atb.contract import timeframe as tf
from atb.documents.champion import Champion
from atb.documents.evaluation import ChampionComparison, ForecastComparison, NotCompared
from atb.documents.result import Result, Rule
from atb.errors import AtbError, SpecError
from atb.registry.champions import ModelKey, read_champion
from atb.registry.gate import Shown, check_candidate
from atb.schema import printable
from atb.storage import Store
from trainer.bars.frame import Bars, Floats, segment_starts
from trainer.bars.load import load_bars
from trainer.evaluate.backtest import Rows, TradingRules, trading_rules
from trainer.evaluate.bands import Bands
from trainer.evaluate.evaluation import compare_forecasts
from trainer.evaluate.metrics import PROOF_ROWS
from trainer.evaluate.rows import JudgedRows
from trainer.features.sets import feature_set
from trainer.features.targets import has_history
from trainer.features.volatility import bar_variance
from trainer.pipeline.loaded_model import (
    LoadedModel,
    answerable,
    ask,
    ask_all,
    open_champion,
    open_result,
    read_forecasts,
)

log = logging.getLogger(__name__)

Load = Callable[[Store, Champion], LoadedModel]


@dataclass(frozen=True, eq=False)
class Meeting:
    """A champion's answers for a candidate's test rows: ``forecasts``, float64[shared.sum()], of the ``shared`` ones,
    and the price bands of its model, if it has any.

    ``problem`` says why there are none; ``champion`` is None where its pointer can't be read.
    """

    champion: Champion | None
    shared: npt.NDArray[np.bool_] | None = None
    forecasts: Floats | None = None
    bands: Bands | None = None
    problem: str = ""


def meet_champion(store: Store, model_key: ModelKey, bars: Bars, rows: JudgedRows) -> Meeting | None:
    """Ask the champion before anything is fitted; None where there is none.

    Every problem with it is reported in the answer and never raised: it must neither fail a training nor waste one.
    ``bars``: all rows that ``rows`` counts in.
    """
    try:
        found = read_champion(store, model_key)
    except AtbError as problem:
        log.warning("the champion of %s can't be compared: %s", model_key, problem)
        return Meeting(None, problem=str(problem))
    return None if found is None else ask_champion(store, found[0], bars, rows)


def ask_champion(store: Store, champion: Champion, bars: Bars, rows: JudgedRows, load: Load = open_champion) -> Meeting:
    """The champion's forecasts of the rows that it can answer and has not seen, or why there are none."""
    try:
        loaded_model = load(store, champion)
        shared = _shared(loaded_model, bars, rows)
        answers = ask_all(loaded_model, bars, rows.ends[shared])
        forecasts = read_forecasts(loaded_model, bars, rows.ends[shared], answers)
        if not (np.isfinite(forecasts).all() and (rows.variance is not None or (forecasts > 0).all())):
            raise SpecError(
                f"{champion.run} answers with what is no {'price' if rows.variance is None else 'volatility'}"
            )
    except Exception as problem:  # ONNX Runtime's and NumPy's own have no common class
        words = printable(str(problem) if isinstance(problem, AtbError) else f"{type(problem).__name__}: {problem}")
        log.warning("the champion, run %s, can't be compared: %s", champion.run, words)
        return Meeting(champion, problem=words)
    return Meeting(champion, shared, forecasts, _bands(loaded_model, answers))


def compare_met(
    meeting: Meeting, rows: JudgedRows, predicted: Floats, rules: TradingRules
) -> ChampionComparison | NotCompared:
    """Both models' metrics and trading on the rows both can answer. ``predicted``: the candidate's forecasts,
    float64[len(rows.ends)]. If there is no fair comparison the result says why, which fails the gate."""
    who = _identity(meeting.champion) if meeting.champion else {"entry": "", "run": "unknown", "job": "unknown"}
    if meeting.shared is None or meeting.forecasts is None:
        return NotCompared(**who, problem=meeting.problem)
    found = compare_forecasts(rows.take(meeting.shared), predicted[meeting.shared], meeting.forecasts, rules)
    return ChampionComparison(**who, **dict(found))


def judge_met(result: Result, meeting: Meeting | None, shown: Shown | None) -> tuple[Rule, ...]:
    """The gate's verdict at the end of a training. It fails where the champion can't be read, since nothing can be
    compared."""
    rules = check_candidate(result, meeting.champion if meeting else None, shown)
    if meeting is None or meeting.champion is not None:
        return rules
    unknown = Rule(name="champion-measured", value=None, bound=None, passed=False, note=meeting.problem)
    return (unknown, *rules)


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
        raise SpecError(f"the bars of {spec.symbol} have changed since run {result.run}; train it again")
    bars = loaded.bars
    ends = _ends_from(bars, tf.epoch_ms(max(one.unseen_from, other.unseen_from)), spec.horizon)
    ends = ends[has_history(spec, bars, ends)]
    variance = bar_variance(bars) if spec.target == "volatility" else None
    rows = JudgedRows(bars.close, ends, spec.horizon, bars.step_ms, variance)
    rows = rows.take(_shared(one, bars, rows))
    rows = rows.take(_shared(other, bars, rows))
    return compare_forecasts(rows, ask(one, bars, rows.ends), ask(other, bars, rows.ends), trading_rules(spec))


def _shared(loaded_model: LoadedModel, bars: Bars, rows: JudgedRows) -> Any:
    target = "return" if rows.variance is None else "volatility"
    if loaded_model.model.target != target:
        raise SpecError(f"{loaded_model.run} forecasts {loaded_model.model.target} and not {target}")
    if loaded_model.model.horizon != rows.horizon:
        raise SpecError(f"{loaded_model.run} forecasts {loaded_model.model.horizon} bars ahead and not {rows.horizon}")
    if missing := [name for name in loaded_model.model.extra_columns if name not in bars.extra]:
        raise SpecError(f"{loaded_model.run} reads the column {missing[0]}, which these bars don't have")
    shared = answerable(loaded_model, bars, rows.ends)
    count = int(np.count_nonzero(shared))
    if count < PROOF_ROWS * rows.horizon:
        raise SpecError(
            f"only {count} test rows are new to {loaded_model.run} and have {loaded_model.model.rows} bars before them"
        )
    return shared


def _bands(loaded_model: LoadedModel, answers: dict[str, npt.NDArray[Any]]) -> Bands | None:
    levels = loaded_model.model.levels
    return Bands(levels, answers[bundle.LOWER], answers[bundle.UPPER]) if levels else None


def _ends_from(bars: Bars, first_ms: int, horizon: int) -> Rows:
    """Rows from an instant on whose target lies in the same segment."""
    ends = np.arange(int(np.searchsorted(bars.time, first_ms)), len(bars) - horizon, dtype=np.int64)
    starts = segment_starts(bars)
    same = np.searchsorted(starts, ends, side="right") == np.searchsorted(starts, ends + horizon, side="right")
    chosen: Rows = ends[same]
    return chosen


def _identity(champion: Champion) -> dict[str, str]:
    return {"entry": champion.entry, "run": champion.run, "job": champion.job}
