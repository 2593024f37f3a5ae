"""The card of a model: what it is, how good it is beside the baselines, what it is not, and how to load it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from atb.contract import bundle
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
_OUTPUT_NAMES = {
    "return": ("scaled", "log_return", "price", "lower", "upper"),
    "volatility": ("scaled", "volatility", "lower", "upper"),
}
"""In the models' order; ``return`` can't be a name in Python."""


def write_card(result: Result) -> str:
    """The card as Markdown. ``result`` may lack its files: they are known only after the card."""
    spec, evaluation, backtest = result.spec, result.evaluation, result.backtest
    report = result.bars.report
    low, high = (result.metrics.get(f"directional_accuracy_{end}") for end in ("low", "high"))
    more = "" if (spec.target, spec.horizon) == ("return", 1) else f" --target {spec.target} --horizon {spec.horizon}"
    values: dict[str, Any] = {
        "result": result,
        "spec": spec,
        "evaluation": evaluation,
        "key": ModelKey.of(spec),
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
    """Which bars the net learnt from and was chosen on, and which it was judged on."""
    spec, test_from = result.spec, result.split.test_from
    start, until, end = (f"{each:%Y-%m-%d %H:%M}" for each in (spec.start, test_from or spec.as_of, spec.as_of))
    yield "train and validation", start, until, "fitting and early stopping"
    if test_from is not None:
        yield "test", until, end, "every number below"


def _folds(result: Result) -> Iterator[str]:
    folds = result.evaluation.folds
    if folds is not None:
        for name in ("skill", "directional_accuracy"):
            if name in folds.mean:
                yield f"{name.replace('_', ' ')} {folds.mean[name]:+.4f} ± {folds.spread[name]:.4f}"


def _code(result: Result) -> Iterator[str]:
    base, extras = split_features(result.spec.features)
    reads_clock = base == "volatility"
    rows = result.export.from_bars.rows if result.export.from_bars else None
    yield "import numpy as np, onnxruntime"
    if rows is not None:
        feed = f'"{bundle.BARS}": bars' + (f', "{bundle.EXTRA}": extra' if extras else "")
        feed += f', "{bundle.TIME}": time' if reads_clock else ""
        yield f'session = onnxruntime.InferenceSession("{bundle.MODEL_FROM_BARS}")'
        yield f"bars = np.load(...)  # float64 [batch, {rows}, 5]: open high low close volume, the last closed bar last"
        if reads_clock:
            yield f"time = np.load(...)  # int64 [batch, {rows}]: open times in milliseconds since 1970 UTC"
        if extras:
            yield f"extra = np.load(...)  # float64 [batch, {rows}, {len(extras)}]: {' '.join(extras)}"
    else:
        shape = f"[batch, {result.spec.sequence_length}, {len(result.features.columns)}]"
        has_level = bundle.LEVEL_COLUMN in result.features.columns
        feed = f'"{bundle.FEATURES}": features' + ("" if has_level else f', "{bundle.LAST_CLOSE}": last_close')
        yield f'session = onnxruntime.InferenceSession("{bundle.MODEL}")'
        yield f"features = np.load(...)  # float32 {shape}, raw: {bundle.FEATURE_SCHEMA} says which"
        if not has_level:
            yield "last_close = np.load(...)  # float32 [batch]"
    yield f"{', '.join(_OUTPUT_NAMES[result.spec.target])} = session.run(None, {{{feed}}})"


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
