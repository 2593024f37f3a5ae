"""The part of a card that says how good a model is: its metrics beside the baselines', by regime, and its bands."""

from __future__ import annotations

from collections.abc import Iterator

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


def describe_skill(result: Result) -> str:
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


def band_rows(result: Result) -> Iterator[tuple[str, ...]]:
    """A row for each level and way of making bands: coverage in all and by regime, width and score."""
    made = {name: found for name, found in result.evaluation.bands.items() if "all" in found}
    if not made:
        return
    for number, whole in enumerate(next(iter(made.values()))["all"]):
        for name, found in made.items():
            every = found["all"][number]
            cells = (_coverage(found.get(regime), number) for regime in ("calm", "usual", "wild"))
            yield (
                f"{whole.level:.4g}", _MAKERS.get(name, name), f"{every.coverage:.1%}", *cells,
                f"{every.width:.3%}", f"{every.score:.3%}",
            )  # fmt: skip


def _coverage(found: tuple[BandMetrics, ...] | None, number: int) -> str:
    return "–" if found is None else f"{found[number].coverage:.1%}"
