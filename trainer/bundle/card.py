"""The card of a model: what it is, how good it is beside the baselines, what it is not, and how to load it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from atb.contract import bundle
from atb.contract import timeframe as tf
from atb.contract.features import split_features
from atb.documents.result import Result
from atb.registry.champions import ModelKey
from atb.registry.gate import describe, passes, verdict
from atb.render import render
from trainer.bundle.quality import BASELINES, METRICS, Row, band_rows, describe_skill

_TRADING: tuple[Row, ...] = (
    ("return", "Return", "{:+.1%}"),
    ("sharpe", "Sharpe, by the year", "{:+.2f}"),
    ("sharpe_error", "… its standard error", "{:.2f}"),
    ("drawdown", "Largest drawdown", "{:.1%}"),
    ("trades", "Trades", "{:.0f}"),
    ("exposure", "Exposure", "{:.1%}"),
    ("turnover", "Turnover, × equity", "{:.1f}"),
)
_COUNTED = (
    "missing", "filled", "unsorted", "duplicate", "off_grid", "unclosed", "non_finite", "non_positive", "inconsistent",
    "zero_volume", "jumps",
)  # fmt: skip
_MARKS = {"passed": "✓", "waived": "○ waived:", "failed": "✗"}


def write_card(result: Result) -> str:
    """The card as Markdown. ``result`` may lack its files: they are known only after the card."""
    spec, evaluation, backtest = result.spec, result.evaluation, result.backtest
    report = result.bars.report
    low, high = (result.metrics.get(f"directional_accuracy_{end}") for end in ("low", "high"))
    more = "" if (spec.target, spec.horizon) == ("return", 1) else f" --target {spec.target} --horizon {spec.horizon}"
    key = ModelKey.of(spec)
    more += "" if key.market == "spot" else f" --market {key.market}"
    values: dict[str, Any] = {
        "result": result,
        "spec": spec,
        "evaluation": evaluation,
        "key": key,
        "goal": _goal(result),
        "bars": _bars(spec.horizon),
        "windows": list(_windows(result)),
        "verdict": describe_skill(result),
        "metrics": METRICS[spec.target],
        "baselines": BASELINES,
        "direction": None if low is None or high is None else (low, high),
        "folds": list(_folds(result)),
        "bands": list(band_rows(result)),
        "trading": {
            label: found for label, found in (("model", backtest.model), ("buy and hold", backtest.hold)) if found
        },
        "trading_rows": _TRADING,
        "passed": passes(result.gate),
        "gate": [(_MARKS[verdict(rule)], describe(rule)) for rule in result.gate],
        "counted": [f"{report[name]} {name.replace('_', ' ')}" for name in _COUNTED if report.get(name)],
        "code": list(_code(result)),
        "predict": f"atb predict {spec.symbol} --preset {spec.preset}{more}",
        "files": list(_files(result)),
        "has_level": bundle.LEVEL_COLUMN in result.features.columns,
        "plots": bundle.PLOTS,
        "cells_of": cells_of,
    }
    text = render("trainer.bundle", "card.md.j2", **values)
    lines = [line for line, before in zip(text.split("\n"), ["", *text.split("\n")], strict=False) if line or before]
    return "\n".join(lines).rstrip() + "\n"


def cells_of(rows: Sequence[Row], columns: Sequence[Mapping[str, float]]) -> Iterator[tuple[str, list[str]]]:
    """Label and cells of the rows that any column has a value of."""
    for name, label, form in rows:
        if any(name in column for column in columns):
            yield label, [form.format(column[name]) if name in column else "–" for column in columns]


def _goal(result: Result) -> str:
    spec = result.spec
    if spec.target == "return":
        return f"the close {_bars(spec.horizon)} after the last close"
    return (
        f"the volatility over the {_bars(spec.horizon)} after the last close, per bar, from each bar's range "
        "(Parkinson 1980)"
    )


def _windows(result: Result) -> Iterator[tuple[str, str, str, str]]:
    """Which bars the net learnt from, which it was chosen on, and which it was judged on."""
    spec, split = result.spec, result.split
    start, test, end = (_instant(each) for each in (spec.start, split.test_from or spec.as_of, spec.as_of))
    if split.validation_from is None:
        yield "train and validation", start, test, "fitting and early stopping"
    else:
        chosen = _instant(split.validation_from)
        yield "train", start, chosen, "fitting, scaling, baselines"
        yield "validation", chosen, test, "early stopping, widths of the price bands"
    if split.test_from is not None:
        yield "test", test, end, "every number below"


def _instant(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}"


def _folds(result: Result) -> Iterator[str]:
    folds = result.evaluation.folds
    if folds is not None:
        for name in ("skill", "directional_accuracy"):
            if name in folds.mean:
                yield f"{name.replace('_', ' ')} {folds.mean[name]:+.4f} ± {folds.spread[name]:.4f}"


def _code(result: Result) -> Iterator[str]:
    """Lines that run in the bundle's folder, on made-up input that has the model's shape."""
    spec = result.spec
    base, extras = split_features(spec.features)
    rows = result.export.from_bars.rows if result.export.from_bars else None
    yield "import numpy as np, onnxruntime"
    if rows is None:
        has_level = bundle.LEVEL_COLUMN in result.features.columns
        feed = f'"{bundle.FEATURES}": features' + ("" if has_level else f', "{bundle.LAST_CLOSE}": last_close')
        shape = f"(1, {spec.sequence_length}, {len(result.features.columns)})"
        yield f'session = onnxruntime.InferenceSession("{bundle.MODEL}")'
        yield f"features = np.zeros({shape}, np.float32)  # yours: as {bundle.FEATURE_SCHEMA} says, raw, oldest first"
        if not has_level:
            yield "last_close = np.full(1, 100, np.float32)"
    else:
        feed = f'"{bundle.BARS}": bars'
        yield f'session = onnxruntime.InferenceSession("{bundle.MODEL_FROM_BARS}")'
        yield f"close = 100 * np.exp(np.random.default_rng(0).normal(0, 0.01, (1, {rows})).cumsum(axis=1))"
        yield (
            "bars = np.stack([close, close * 1.01, close * 0.99, close, close], axis=-1)  # yours: float64 "
            f"[batch, {rows}, 5], open high low close volume, oldest first, the last closed bar last"
        )
        if base == "volatility":
            feed += f', "{bundle.TIME}": time'
            step = tf.to_ms(spec.timeframe)
            yield f"time = {step} * np.arange({rows})[None]  # yours: int64, open times in ms since 1970 UTC"
        if extras:
            feed += f', "{bundle.EXTRA}": extra'
            yield f"extra = np.ones((1, {rows}, {len(extras)}))  # yours: {' '.join(extras)}"
    yield "names = [output.name for output in session.get_outputs()]"
    yield f"print(dict(zip(names, session.run(names, {{{feed}}}))))"


def _files(result: Result) -> Iterator[tuple[str, str, str]]:
    for name, file in result.export.files():
        latency = "–" if file.latency_ms is None else f"{file.latency_ms:.3f}"
        note = ""
        if file.skipped is not None:
            note = f"left out: {file.skipped}"
        elif file.parity is not None:
            note = f"within {file.parity.scaled:.1g} of the net on {file.parity.windows} windows"
        elif file.error_share is not None:
            note = f"error {file.error_share:.2%} of the forecasts' spread"
        yield f"`{name}`", latency, note


def _bars(count: int) -> str:
    return "one bar" if count == 1 else f"{count} bars"
