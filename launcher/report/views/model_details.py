"""One model's part of the run's page: numbers next to the baselines, verdicts in words, curves and links."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote

from markupsafe import Markup

from atb.contract import bundle, keys
from atb.documents.manifest import ManifestJob
from atb.documents.result import Result, Rule
from atb.registry.gate import describe, passes, verdict
from launcher.report.views.charts import Band, line_chart

_METRICS = (
    ("skill", "skill over persistence", "+.4f"),
    ("skill_over_best", "skill over the best baseline", "+.4f"),
    ("directional_accuracy", "directional accuracy", ".1%"),
    ("commoner_direction", "share of the commoner direction", ".1%"),
    ("r2", "R² over the train rows' mean", ".4f"),
    ("rmse", "RMSE", ".6g"),
    ("mape", "MAPE, %", ".4f"),
    ("qlike", "QLIKE", ".4f"),
)
_TRADING = (
    ("return", "return", "+.1%"),
    ("sharpe", "Sharpe, by the year", "+.2f"),
    ("sharpe_error", "its standard error", ".2f"),
    ("drawdown", "drawdown", ".1%"),
    ("trades", "trades", ".0f"),
    ("exposure", "exposure", ".0%"),
)
_MISSED = {
    "champion-measured": "it could not be compared with the champion",
    "rmse-over-champion": "its error is too far above the champion's",
    "skill-kept": "it lost more than half of the champion's skill",
    "skill-shown": "what it knows could be chance",
    "no-worse-than-bar": "it is worse than no change on its own test rows",
    "not-behind-baseline": "a simpler model is as good or better",
    "spread": "its forecasts hardly move",
    "parity": "the exported model differs from the trained one",
    "drawdown": "trading on it lost too much at worst",
}
"""What a failed rule of the gate means."""
_ASKED = {
    "champion-measured": "it is compared with the champion",
    "rmse-over-champion": "its error is not far above the champion's",
    "skill-kept": "it keeps half of the champion's skill",
    "skill-shown": "it knows more than chance",
    "no-worse-than-bar": "it is better than no change on its own test rows",
    "not-behind-baseline": "no simpler model is better",
    "spread": "its forecasts move",
    "parity": "the exported model is the trained one",
    "drawdown": "trading on it does not lose too much at worst",
}
"""What each rule of the gate asks."""
_COUNTED = (
    "received", "expected", "kept", "missing", "gaps", "longest_gap", "off_grid", "unsorted", "duplicate",
    "conflicting", "non_finite", "non_positive", "inconsistent", "zero_volume", "jumps", "filled",
)  # fmt: skip
"""Numbers of the bars' report; those that are 0 are left out."""
_FILES = (
    (bundle.CARD, "card"),
    (f"{bundle.PLOTS}forecast.png", "forecast"),
    (f"{bundle.PLOTS}equity.png", "equity"),
    (f"{bundle.PLOTS}loss.png", "learning curve"),
    (f"{bundle.PLOTS}errors.png", "errors"),
    (bundle.MODEL, "model"),
    (bundle.MODEL_FROM_BARS, "model from bars"),
    (bundle.MODEL_INT8, "int8 model"),
    (bundle.METRICS, "metrics"),
    (bundle.FORECASTS, "forecasts"),
)


@dataclass(frozen=True)
class Link:
    """A link from the page to an object of the store."""

    href: str
    label: str


@dataclass(frozen=True)
class Cells:
    """A row of a small table."""

    label: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A small table with a column for each of the things compared."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[Cells, ...]


@dataclass(frozen=True)
class RuleLine:
    """A rule of the gate in words."""

    kind: str
    verdict: str
    words: str


@dataclass(frozen=True)
class Model:
    """What a model's part of the page shows."""

    job: str
    skill: str
    gate: str
    links: tuple[Link, ...]
    tables: tuple[Table, ...]
    rules: tuple[RuleLine, ...]
    charts: tuple[Markup, ...]
    facts: str


@dataclass(frozen=True)
class Curves:
    """The numbers that a model's charts are drawn from: losses by epoch, and the last test rows as ``bundle.SHOWN``
    has them. ``level`` is that of the band."""

    history: Mapping[str, Sequence[float]] = field(default_factory=dict)
    shown: Mapping[str, Sequence[float]] = field(default_factory=dict)
    level: float = 0.0


def build_model(job: ManifestJob, result: Result, curves: Curves | None, serving: bool, run: str) -> Model:
    """A model's details; without ``curves`` no charts."""
    gate, _, _ = describe_gate(job.gate)
    drawn = _charts(result, curves) if curves is not None else ()
    return Model(
        job=job.job,
        skill=f"{result.metrics.get('skill', 0.0):+.4f}",
        gate=f"{gate or 'not asked'}{', serving now' if serving else ''}",
        links=tuple(_links(result, run)),
        tables=tuple(_tables(result)),
        rules=tuple(
            RuleLine("bad" if verdict(rule) == "failed" else "good", verdict(rule), _say_rule(rule))
            for rule in job.gate
        ),
        charts=tuple(Markup(chart) for chart in drawn if chart),  # noqa: S704  numbers, and names escaped
        facts=_facts(result),
    )


def _charts(result: Result, curves: Curves) -> Iterator[str]:
    history, shown, level = curves.history, curves.shown, curves.level
    if times := shown.get("time"):
        dates = [f"{datetime.fromtimestamp(each / 1000, UTC):%Y-%m-%d %H:%M}" for each in (times[0], times[-1])]
        ends = (dates[0], dates[1])
        band = Band(f"{level:.0%} band", shown.get("lower", ()), shown.get("upper", ()))
        close = {"close": shown.get("close", ())}
        if result.spec.target == "return":
            close["forecast"] = shown.get("forecast", ())
        yield line_chart(f"last {len(times)} test rows", close, ends=ends, band=band)
        if result.spec.target != "return":
            lines = {name: shown.get(name, ()) for name in ("actual", "forecast")}
            yield line_chart("volatility a bar", lines, ends=ends)
    losses = {"validation": history.get("val_loss", ()), "train": history.get("loss", ())}
    yield line_chart("loss", losses, ends=("epoch 1", f"epoch {len(losses['validation'])}"))
    tested = ((each or result.bars.last) for each in (result.split.test_from, result.bars.last))
    first, last = (f"{each:%Y-%m-%d}" for each in tested)
    equity = {words: result.backtest.curves.get(name, ()) for name, words in (("model", "model"), ("hold", "hold"))}
    yield line_chart("equity on the test rows, after costs", equity, ends=(first, last))


def _facts(result: Result) -> str:
    fit, split, bars = result.fit, result.split, result.bars
    return (
        f"{bars.rows:,} bars in {bars.segments:,} stretch{'es' * (bars.segments != 1)}, "
        f"features {result.features.name}, {split.train:,} train, {split.validation:,} validation and "
        f"{split.test:,} test rows, {fit.parameters:,} parameters, best epoch {fit.best_epoch} of {fit.epochs} on "
        f"{fit.device}, spec {result.spec_digest[:12]}, code {result.code.digest}"
    )


def _say_rule(rule: Rule) -> str:
    """What a rule asks, with what was measured: ``it knows more than chance: 4599, bound 100 (…)``."""
    measured = describe(rule.model_copy(update={"name": "", "note": ""})).strip()
    note = f" ({rule.note})" if rule.note else ""
    return f"{_ASKED.get(rule.name, rule.name)}{f': {measured}' if measured else ''}{note}"


def describe_gate(rules: tuple[Rule, ...]) -> tuple[str, str, str]:
    """The gate's verdict, its kind, and in words what failed."""
    if not rules:
        return "", "", ""
    missed = [_MISSED.get(rule.name, describe(rule)) for rule in rules if not (rule.passed or rule.waived)]
    if passes(rules):
        return ("waived" if any(rule.waived for rule in rules) else "passed"), "good", ""
    return "not passed", "bad", "; ".join(missed)


def link_to(run: str, key: str) -> str:
    """A link from the run's page to another object of the store."""
    own = keys.run_prefix(run)
    return quote(key[len(own) :] if key.startswith(own) else posixpath.relpath(key, own))


def _links(result: Result, run: str) -> Iterator[Link]:
    by_path = {file.path: file.key for file in result.files}
    wanted = [(by_path[path], label) for path, label in _FILES if path in by_path]
    wanted.append((keys.attempt(result.run, result.job, result.attempt, "log.txt"), "log"))
    wanted.append((keys.result(result.run, result.job), "result"))
    wanted.append((keys.manifest(run), "manifest"))
    yield from (Link(link_to(run, key), label) for key, label in wanted)


def _tables(result: Result) -> Iterator[Table]:
    def skill(name: str) -> float:
        return result.baselines[name].get("skill", 0.0)

    best_first = sorted(result.baselines, key=skill, reverse=True)
    yield _table(
        "on the test rows", {"model": result.metrics, **{name: result.baselines[name] for name in best_first}}, _METRICS
    )
    if result.backtest.model:
        trading = {"model": result.backtest.model, "buy and hold": result.backtest.hold}
        yield _table("trading on the test rows, after costs", trading, _TRADING)
    counted = [(name, result.bars.report.get(name)) for name in _COUNTED]
    rows = tuple(
        Cells(name.replace("_", " "), (f"{count:,}",)) for name, count in counted if isinstance(count, int) and count
    )
    if rows:
        yield Table("the bars, as they were checked", ("bars",), rows)


def _table(caption: str, columns: Mapping[str, Mapping[str, float]], rows: tuple[tuple[str, str, str], ...]) -> Table:
    shown = tuple(
        Cells(label, tuple(format(values[name], form) if name in values else "–" for values in columns.values()))
        for name, label, form in rows
        if any(name in values for values in columns.values())
    )
    return Table(caption, tuple(columns), shown)
