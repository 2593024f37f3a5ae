"""Presets side by side on the same bars, seed and test rows, and what each cost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import numpy as np

from atb.documents.comparison import Comparison, PresetResult
from atb.documents.result import Result
from atb.errors import SpecError
from atb.storage import Store
from trainer.bars.frame import Bars, segment_starts
from trainer.bars.load import load_bars
from trainer.evaluate.metrics import PROOF_ROWS
from trainer.evaluate.rows import JudgedRows
from trainer.features.sets import compute_features, feature_set
from trainer.features.targets import history_needed, target_values
from trainer.features.windows import split_windows
from trainer.pipeline.judge import ask_baselines, judged_rows
from trainer.pipeline.loaded_model import LoadedModel, answerable, ask, has_bars, open_result


def compare_presets(store: Store, run: str, results: Sequence[Result]) -> Comparison:
    """Judge committed results of one run together, symbol by symbol, on the test rows that all presets can answer.

    Raises SpecError where presets of a symbol differ in bars, seed or features, or share too few rows.
    """
    symbols = list(dict.fromkeys(result.spec.symbol for result in results))
    rows: dict[str, int] = {}
    trained: list[PresetResult] = []
    for symbol in symbols:
        of_symbol = [result for result in results if result.spec.symbol == symbol]
        rows[symbol], judged = _judge_symbol(store, of_symbol)
        trained += judged
    spec = results[0].spec
    return Comparison(
        run=run,
        created=datetime.now(UTC),
        presets=tuple(dict.fromkeys(result.spec.preset for result in results)),
        seed=spec.seed,
        features=spec.features,
        target=spec.target,
        rows=rows,
        trained=tuple(trained),
    )


def _judge_symbol(store: Store, results: Sequence[Result]) -> tuple[int, list[PresetResult]]:
    _validate_same(results)
    spec = max((result.spec for result in results), key=lambda spec: spec.sequence_length)
    features = feature_set(spec.features)
    loaded = load_bars(spec, store, features.memory, 1)
    bars, horizon = loaded.bars, spec.horizon
    flat = compute_features(features, bars)
    # parts are cut by rows, so the longest window's validation and test rows are those of every preset too
    starts, history = segment_starts(bars), history_needed(spec)
    split = split_windows(flat, starts, loaded.first_row, spec.sequence_length, horizon, history)
    models = [open_result(store, result) for result in results]
    shared = np.all([answerable(model, bars, split.test) for model in models], axis=0)
    ends = split.test[shared]
    checked = split.validation[np.all([has_bars(model, bars, split.validation) for model in models], axis=0)]
    if min(len(ends), len(checked)) < PROOF_ROWS:
        raise SpecError(
            f"{spec.symbol}: the presets share only {len(checked)} validation and {len(ends)} test rows; "
            "take more --days"
        )
    unit = float(np.std(target_values(spec, bars, split.train)))
    rows, known = judged_rows(spec, bars, split, ends), judged_rows(spec, bars, split, checked)
    forecasts = ask_baselines(spec, bars, features, flat, split.train, ends)
    baselines = {name: rows.measure(forecast) for name, forecast in forecasts.items()}
    baselines = dict(sorted(baselines.items(), key=lambda each: each[1]["rmse"]))
    return len(ends), [
        PresetResult(
            symbol=result.spec.symbol,
            preset=result.spec.preset,
            job=result.job,
            device=result.fit.device,
            epochs=result.fit.epochs,
            parameters=result.fit.parameters,
            stages=result.stages,
            validation_loss=_scaled_loss(model, bars, known, unit),
            peak_memory_bytes=result.peak_memory_bytes,
            metrics=rows.measure(ask(model, bars, ends)),
            baselines=baselines,
        )
        for result, model in zip(results, models, strict=True)
    ]


def _scaled_loss(model: LoadedModel, bars: Bars, rows: JudgedRows, unit: float) -> float:
    """The mean squared error of the target, a log in any case, in the variance of the train rows' targets."""
    predicted = ask(model, bars, rows.ends)
    error = np.log(predicted / rows.actual) if rows.variance is None else predicted - rows.actual
    return float(np.mean(np.square(error))) / (unit * unit or 1.0)


def _validate_same(results: Iterable[Result]) -> None:
    """One preset may differ from another in its own numbers alone."""
    first, *others = results
    for other in others:
        for name in (
            "start",
            "as_of",
            "source",
            "market",
            "timeframe",
            "features",
            "target",
            "horizon",
            "seed",
            "on_gap",
        ):
            one, two = getattr(first.spec, name), getattr(other.spec, name)
            if one != two:
                raise SpecError(
                    f"{first.spec.symbol}: {first.spec.preset} has {name} {one} and {other.spec.preset} has {two}"
                )
        if first.bars.digest != other.bars.digest:
            raise SpecError(f"{first.spec.symbol}: {first.spec.preset} and {other.spec.preset} read different bars")
