"""The card of a model: what it is, how good it is beside the baselines, what it is not, and how to load it."""

from __future__ import annotations

from collections.abc import Iterator

from atb.contract import bundle
from atb.contract.features import split_features
from atb.documents.evaluation import NotCompared
from atb.documents.result import Result
from atb.registry.champions import ModelKey
from atb.registry.gate import describe, passes, verdict
from trainer.bundle.quality import METRICS, table, write_quality, write_verdict

_TRADING = (
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
"""In the models' order; ``return`` is no name in Python."""


def write_card(result: Result) -> str:
    """The card as Markdown. ``result`` may lack its files: they are known only after the card."""
    return "\n".join(_lines(result)).rstrip() + "\n"


def _lines(result: Result) -> Iterator[str]:
    spec = result.spec
    yield f"# {ModelKey.of(spec)}"
    yield ""
    yield (
        f"Forecasts {_goal(result)} of a window of {spec.sequence_length} bars. "
        f"Trained on bars from {spec.start:%Y-%m-%d %H:%M} to {spec.as_of:%Y-%m-%d %H:%M} UTC in run `{result.run}`."
    )
    if result.bars.synthetic:
        yield "\n> **Made-up bars.** This model has never seen a market."
    yield f"\n**{write_verdict(result)}**\n"
    yield from write_quality(result)
    yield from _backtest(result)
    yield from _beside_champion(result)
    yield from _gate(result)
    yield from _data(result)
    yield from _use(result)
    yield from _limits(result)
    yield from _identity(result)


def _goal(result: Result) -> str:
    spec = result.spec
    if spec.target == "return":
        return f"the close {_bars(spec.horizon)} after the last close"
    return (
        f"the volatility over the {_bars(spec.horizon)} after the last close, per bar, from each bar's range "
        "(Parkinson 1980)"
    )


def _backtest(result: Result) -> Iterator[str]:
    backtest = result.backtest
    columns = {
        label: values for label, values in (("model", backtest.model), ("buy and hold", backtest.hold)) if values
    }
    if not columns:
        return
    rules = backtest.rules
    yield "## Trading on the same rows"
    yield ""
    if rules is not None:
        yield (
            f"{'Long or short' if rules.short else 'Long or out'} when the forecast passes "
            f"{rules.threshold_bps:g} bps; each trade costs {rules.fee_bps + rules.slippage_bps:g} bps."
        )
        yield ""
    yield from table(("", *columns), _TRADING, list(columns.values()))
    yield ""
    yield f"![Equity]({bundle.PLOTS}equity.png)"
    yield ""


def _beside_champion(result: Result) -> Iterator[str]:
    beside = result.evaluation.champion
    if beside is None:
        return
    yield f"## Beside the champion, run `{beside.run}`"
    yield ""
    if isinstance(beside, NotCompared):
        yield f"Not compared: {beside.problem}."
    else:
        yield f"On the {beside.rows:,} test rows that both can forecast and neither had seen:"
        yield ""
        names = ("candidate", "champion")
        yield from table(("", *names), METRICS[result.spec.target], [beside.candidate, beside.champion])
        yield ""
        yield from table(("", *names), _TRADING, [beside.candidate_trading, beside.champion_trading])
    yield ""


def _gate(result: Result) -> Iterator[str]:
    if not result.gate:
        return
    yield f"## Gate: {'passed' if passes(result.gate) else 'not passed'}"
    yield ""
    for rule in result.gate:
        yield f"- {_MARKS[verdict(rule)]} {describe(rule)}"
    yield ""


def _data(result: Result) -> Iterator[str]:
    bars, spec = result.bars, result.spec
    yield "## Data"
    yield ""
    yield (
        f"{bars.rows:,} bars of {spec.source} {spec.market}, {bars.first:%Y-%m-%d %H:%M} to "
        f"{bars.last:%Y-%m-%d %H:%M} UTC, in {bars.segments} gap-free segment{'s' if bars.segments != 1 else ''}. "
        f"Digest `{bars.digest[:16]}`."
    )
    counted = [f"{bars.report[name]} {name.replace('_', ' ')}" for name in _COUNTED if bars.report.get(name)]
    if counted:
        yield f"Found at the door: {', '.join(counted)}."
    yield (
        f"Windows: {result.split.train:,} train, {result.split.validation:,} validation, {result.split.test:,} test; "
        f"{result.split.purged:,} purged between them. Features `{result.features.name}`: "
        f"{', '.join(result.features.columns)}."
    )
    yield ""


def _use(result: Result) -> Iterator[str]:
    base, extras = split_features(result.spec.features)
    reads_clock = base == "volatility"
    rows = result.export.from_bars.rows if result.export.from_bars else None
    yield "## Load it"
    yield ""
    yield "```python"
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
    yield "```"
    yield ""
    spec = result.spec
    more = "" if (spec.target, spec.horizon) == ("return", 1) else f" --target {spec.target} --horizon {spec.horizon}"
    yield f"From a terminal: `atb predict {spec.symbol} --preset {spec.preset}{more}`."
    yield ""
    yield from _files(result)


def _files(result: Result) -> Iterator[str]:
    found = list(result.export.files())
    if not found:
        return
    yield "| file | latency, ms (batch 1, one thread) | |"
    yield "|---|---:|---|"
    for name, file in found:
        latency = "–" if file.latency_ms is None else f"{file.latency_ms:.3f}"
        note = ""
        if file.skipped is not None:
            note = f"left out: {file.skipped}"
        elif file.parity is not None:
            note = f"within {file.parity.scaled:.1g} of the net on {file.parity.windows} windows"
        elif file.error_share is not None:
            note = f"error {file.error_share:.2%} of the forecasts' spread"
        yield f"| `{name}` | {latency} | {note} |"
    yield ""


def _limits(result: Result) -> Iterator[str]:
    yield "## Limits"
    yield ""
    yield "- It knows the last bars of one symbol and nothing else: no news, no order book, no other market."
    yield "- Numbers are of one stretch of time. Markets change, and so will they."
    yield "- The backtest fills at the close it decides on, at fixed costs, and moves no price."
    if bundle.LEVEL_COLUMN in result.features.columns:
        yield "- Its features hold price levels: far outside the prices it was trained on it guesses."
    yield "- It is no advice to trade."
    yield ""


def _identity(result: Result) -> Iterator[str]:
    fit, code = result.fit, result.code
    yield "## Made by"
    yield ""
    yield f"- {fit.parameters:,} parameters, {fit.epochs} epochs, best {fit.best_epoch}, on {fit.device} ({fit.path})"
    yield f"- seed {result.spec.seed}, spec `{result.spec_digest[:16]}`, job `{result.job}`, attempt {result.attempt}"
    yield f"- atb {code.version}, code `{code.digest}`" + (f", image `{code.image}`" if code.image else "")
    if code.packages:
        yield f"- {', '.join(f'{name} {version}' for name, version in code.packages.items())}"
    yield ""
    yield f"![Loss]({bundle.PLOTS}loss.png)"


def _bars(count: int) -> str:
    return "one bar" if count == 1 else f"{count} bars"
