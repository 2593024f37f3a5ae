"""The part of a card that says how good a model is: its metrics beside the baselines', by regime, and its bands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from atb.contract import bundle
from atb.documents.evaluation import BandMetrics
from atb.documents.result import Result

Row = tuple[str, str, str]
"""A metric's name, its label, its format."""

METRICS: dict[str, tuple[Row, ...]] = {
    "return": (
        ("skill", "Skill over the last close", "{:+.4f}"),
        ("skill_over_best", "Skill over the best baseline", "{:+.4f}"),
        ("directional_accuracy", "Directional accuracy", "{:.1%}"),
        ("commoner_direction", "… of always saying the commoner direction", "{:.1%}"),
        ("rmse", "RMSE, price", "{:.6g}"),
        ("mae", "MAE, price", "{:.6g}"),
        ("mape", "MAPE, %", "{:.4f}"),
        ("smape", "sMAPE, %", "{:.4f}"),
    ),
    "volatility": (
        ("skill", "Skill over persistence", "{:+.4f}"),
        ("skill_over_best", "Skill over the best baseline", "{:+.4f}"),
        ("r2", "R² over the train rows' mean", "{:.4f}"),
        ("rmse", "RMSE, log volatility", "{:.4f}"),
        ("mae", "MAE, log volatility", "{:.4f}"),
        ("rmse_volatility", "RMSE, volatility per bar", "{:.4%}"),
        ("qlike", "QLIKE", "{:.4f}"),
    ),
}
BASELINES = {
    "persistence": "nothing changes",
    "linear": "ridge on the last returns",
    "ewma": "exponential mean of past variance",
    "har": "HAR with the hour and the weekday",
    "ridge": "ridge on the window's features",
    "trees": "gradient-boosted trees on the window's features",
}
_MAKERS = {"model": "model", "ewma": "EWMA and a normal distribution", "historical": "historical simulation"}


def write_verdict(result: Result) -> str:
    """One sentence: whether the model knows anything."""
    skill, low = result.metrics.get("skill", 0.0), result.metrics.get("skill_low", -1.0)
    what = persistence_of(result)
    if low > 0:
        return f"Skill {skill:+.4f} over {what}, more than noise would show."
    if skill > 0:
        return f"Skill {skill:+.4f} over {what}, which noise could show too: don't count on it."
    return f"Skill {skill:+.4f}: no better than {what}."


def persistence_of(result: Result) -> str:
    """What persistence is called for this target."""
    return "the last close" if result.spec.target == "return" else "persistence"


def write_quality(result: Result) -> Iterator[str]:
    """The lines from the heading to the plots."""
    yield f"## Quality on {result.split.test:,} test rows it never saw"
    yield ""
    metrics = METRICS[result.spec.target]
    columns: dict[str, Mapping[str, float]] = {"model": result.metrics, **result.baselines}
    yield from table(("", *columns), metrics, list(columns.values()))
    yield ""
    yield from _baselines(result)
    low, high = (result.metrics.get(f"directional_accuracy_{end}") for end in ("low", "high"))
    if low is not None and high is not None:
        yield f"Directional accuracy lies between {low:.1%} and {high:.1%} at 95 %; one half is a coin."
        yield ""
    if result.evaluation.zero_ranges:
        count = result.evaluation.zero_ranges
        yield f"{count:,} of the bars that were forecast had a range below one basis point; it counts as one."
        yield ""
    if regimes := result.evaluation.regimes:
        yield "By the volatility before each row:"
        yield ""
        yield from table(("", *regimes), (("rows", "Rows", "{:.0f}"), *metrics), [*regimes.values()])
        yield ""
    folds = result.evaluation.folds
    if folds is not None:
        names = [name for name in ("skill", "directional_accuracy") if name in folds.mean]
        spread = (f"{name.replace('_', ' ')} {folds.mean[name]:+.4f} ± {folds.spread[name]:.4f}" for name in names)
        yield f"Over {folds.count} walk-forward folds: {', '.join(spread)}"
        yield ""
    yield f"![Forecast and actual]({bundle.PLOTS}forecast.png)"
    yield f"![Errors]({bundle.PLOTS}errors.png)"
    yield ""
    yield from _bands(result)


def _baselines(result: Result) -> Iterator[str]:
    if not result.evaluation.over:
        return
    yield "Baselines are fitted on the train rows, and the best on these rows comes first. The skill over each:"
    yield ""
    for name, over in result.evaluation.over.items():
        yield f"- {name} ({BASELINES.get(name, name)}): {over['skill']:+.4f}, lower bound {over['skill_low']:+.4f}"
    yield ""


def _bands(result: Result) -> Iterator[str]:
    made = {name: found for name, found in result.evaluation.bands.items() if "all" in found}
    if not made:
        return
    bars = "one bar" if result.spec.horizon == 1 else f"{result.spec.horizon} bars"
    yield f"## Price bands {bars} on"
    yield ""
    yield (
        "A band holds the close with the stated probability, as measured on validation rows (split conformal). Width "
        "and interval score (Winkler) are shares of the last close; a smaller score is better."
    )
    yield ""
    yield "| band | made by | coverage | calm | usual | wild | width | score |"
    yield "|---:|---|---:|---:|---:|---:|---:|---:|"
    for number, whole in enumerate(next(iter(made.values()))["all"]):
        for name, found in made.items():
            every = found["all"][number]
            cells = (_coverage(found.get(regime), number) for regime in ("calm", "usual", "wild"))
            yield (
                f"| {whole.level:.4g} | {_MAKERS.get(name, name)} | {every.coverage:.1%} | {' | '.join(cells)} | "
                f"{every.width:.3%} | {every.score:.3%} |"
            )
    yield ""


def _coverage(found: tuple[BandMetrics, ...] | None, number: int) -> str:
    return "–" if found is None else f"{found[number].coverage:.1%}"


def table(head: Sequence[str], rows: Sequence[Row], columns: Sequence[Mapping[str, float]]) -> Iterator[str]:
    """A Markdown table of the rows that any column has a value of."""
    yield f"| {' | '.join(head)} |"
    yield "|---" + "|---:" * len(columns) + "|"
    for name, label, form in rows:
        if any(name in column for column in columns):
            cells = (form.format(column[name]) if name in column else "–" for column in columns)
            yield f"| {label} | {' | '.join(cells)} |"
