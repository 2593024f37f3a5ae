"""The gate: may this candidate serve? Pure rules over a result; each has a name, a value, a bound and a verdict.

A champion is compared on the candidate's own test rows, which the job measured it on. The published rule allows a
candidate's quality to be 5 % below; quality here is RMSE in price, as a ratio. On market data, where a good skill is
two or three percent of the RMSE, that alone would let noise follow a model that knows something, and 5 % a day would
add up: so a candidate must also keep half of the champion's skill.

Every candidate must have shown that it knows something beyond the bar, which is persistence: the e-value of its model
key's ledger (``atb.registry.betting``) reaches the bound that the run's candidates are held to together, and on its
own test rows it is no worse than the bar. A champion that has not shown skill on those rows sets no bar of its own.

Nor may a net be behind what a simpler model does on the same rows: its RMSE is held against that of the best baseline.
Which one is best is known only after the test rows, so that this bar is higher than any one baseline's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from atb.contract.bundle import MODEL_FROM_BARS
from atb.documents.champion import Champion
from atb.documents.evaluation import ChampionComparison, NotCompared
from atb.documents.export import ExportSummary
from atb.documents.result import Result, Rule
from atb.registry.betting import e_value


@dataclass(frozen=True)
class Bounds:
    """The bounds that a candidate must stay within.

    ``tolerance``: how much larger than the champion's the RMSE may be, as a share. ``kept_skill``: the least share of
    the champion's skill. ``over_volatility_baseline``: how much larger the RMSE may be than the best baseline's of
    volatility, as a share; of the return it may be no larger. ``least_spread``: forecast returns' standard deviation
    over actual returns'. ``drawdown``: of the backtest, or buy-and-hold's on the same rows where that is deeper.
    """

    tolerance: float = 0.05
    kept_skill: float = 0.5
    over_volatility_baseline: float = 0.01
    least_spread: float = 0.02
    drawdown: float = 0.25


DEFAULT_BOUNDS = Bounds()
SKILL_SHOWN = "skill-shown"
"""The rule that a run's candidates are held to together."""


@dataclass(frozen=True)
class Shown:
    """What a model key's rows have shown: the logarithm of their e-value, and the bound that the run's ``candidates``
    are held to at a false-discovery rate of ``fdr``. ``models`` spent ``rows`` rows. ``problem``: why nothing is known.
    """

    log_e: float
    bound: float
    fdr: float
    candidates: int
    rows: int = 0
    models: int = 0
    problem: str = ""

    @property
    def reached(self) -> bool:
        """Whether the e-value is at least the bound."""
        return not self.problem and self.log_e >= math.log(self.bound)

    @property
    def words(self) -> str:
        """In one line."""
        if self.problem:
            return self.problem
        return f"e-value {e_value(self.log_e):.4g} of {self.rows:,} rows, bound {self.bound:,.4g}"


def check_candidate(
    result: Result,
    champion: Champion | None,
    shown: Shown | None,
    *,
    accept_first: bool = False,
    bounds: Bounds = DEFAULT_BOUNDS,
) -> tuple[Rule, ...]:
    """The verdict of every rule. ``accept_first`` waives what a first model has to show of skill."""
    rules = _judge(result, champion, shown, bounds)
    if champion is None and accept_first:
        return tuple(_waive(rule) if rule.name in _OF_SKILL else rule for rule in rules)
    return tuple(rules)


def hold_to(rules: tuple[Rule, ...], shown: Shown) -> tuple[Rule, ...]:
    """The same verdicts, but for ``skill-shown``, which is judged anew by what the whole run has shown. A rule that was
    waived stays so."""
    return tuple(_skill_shown(shown) if rule.name == SKILL_SHOWN and not rule.waived else rule for rule in rules)


def passes(rules: tuple[Rule, ...]) -> bool:
    """Whether a candidate may serve: every rule passed, or somebody waived it."""
    return bool(rules) and all(rule.passed or rule.waived for rule in rules)


def failures(rules: tuple[Rule, ...]) -> str:
    """The failed rules in words, for one line."""
    return "; ".join(describe(rule) for rule in rules if not (rule.passed or rule.waived))


def verdict(rule: Rule) -> str:
    """``passed``, ``waived`` or ``failed``."""
    return "passed" if rule.passed else "waived" if rule.waived else "failed"


def describe(rule: Rule) -> str:
    """One rule in words: ``skill-shown -0.004 (bound 0): why``."""
    measured = ""
    if rule.bound is not None:
        measured = f" {'unknown' if rule.value is None else format(rule.value, '.4g')} (bound {rule.bound:.4g})"
    return f"{rule.name}{measured}" + (f": {rule.note}" if rule.note else "")


_OF_SKILL = (SKILL_SHOWN, "no-worse-than-bar", "not-behind-baseline")


def _waive(rule: Rule) -> Rule:
    return rule if rule.passed else rule.model_copy(update={"waived": True, "note": f"{rule.note}; waived: the first"})


def _judge(result: Result, champion: Champion | None, shown: Shown | None, bounds: Bounds) -> Iterator[Rule]:
    beside = result.evaluation.champion
    own, other = (beside.candidate, beside.champion) if isinstance(beside, ChampionComparison) else ({}, {})
    if champion is not None:
        yield _champion_measured(champion, result)
    if champion is not None and other.get("skill_low", -1.0) > 0:
        yield _at_most(
            "rmse-over-champion",
            _ratio(own.get("rmse"), other.get("rmse")),
            1 + bounds.tolerance,
            "RMSE as a share of the champion's on the same rows",
        )
        least = bounds.kept_skill * other["skill"]
        yield _at_least("skill-kept", own.get("skill"), least, f"{bounds.kept_skill:.0%} of the champion's")
    yield _skill_shown(shown)
    yield _at_least("no-worse-than-bar", result.metrics.get("skill"), 0.0, f"skill on {result.split.test:,} test rows")
    yield _not_behind_baseline(result, bounds)
    what = "returns" if result.spec.target == "return" else "volatility"
    yield _at_least("spread", result.evaluation.spread, bounds.least_spread, f"of forecast over actual {what}")
    yield _parity(result.export)
    if result.spec.target == "return":
        drawdown, held = result.backtest.model.get("drawdown"), result.backtest.hold.get("drawdown", 0.0)
        yield _at_most("drawdown", drawdown, max(bounds.drawdown, held), "of trading on the forecast")


def _champion_measured(champion: Champion, result: Result) -> Rule:
    beside, own = result.evaluation.champion, result.spec.source
    if beside is None or beside.entry != champion.entry:
        problem = "this job did not measure it; train again"
    else:
        problem = beside.problem if isinstance(beside, NotCompared) else ""
    note = f"the champion is {champion.run} {champion.job}"
    if champion.source not in ("", own):
        note += f", trained on bars of {champion.source} and not of {own}"
    note += f": {problem}" if problem else ""
    return Rule(name="champion-measured", value=None, bound=None, passed=not problem, note=note)


def _not_behind_baseline(result: Result, bounds: Bounds) -> Rule:
    measured = {name: metrics["rmse"] for name, metrics in result.baselines.items() if "rmse" in metrics}
    best = min(measured, key=lambda name: measured[name], default="persistence")
    more = bounds.over_volatility_baseline if result.spec.target == "volatility" else 0.0
    ratio = _ratio(result.metrics.get("rmse"), measured.get(best))
    return _at_most(
        "not-behind-baseline", ratio, 1 + more, f"RMSE as a share of that of {best}, the best baseline here"
    )


def _skill_shown(shown: Shown | None) -> Rule:
    if shown is None or shown.problem:
        note = shown.problem if shown else "this model left no evidence; train again"
        return Rule(name=SKILL_SHOWN, value=None, bound=shown.bound if shown else None, passed=False, note=note)
    together = f"{shown.candidates:,} candidates together" if shown.candidates > 1 else "as if it were alone"
    return Rule(
        name=SKILL_SHOWN,
        value=e_value(shown.log_e),
        bound=shown.bound,
        passed=shown.reached,
        note=(
            f"e-value of {shown.rows:,} rows, spent by {shown.models:,} model{'s' if shown.models != 1 else ''}; "
            f"false-discovery rate {shown.fdr:g}, {together}"
        ),
    )


def _parity(export: ExportSummary) -> Rule:
    """Of both ONNX models: the one from bars is what serves."""
    plain = export.model.parity if export.model else None
    from_bars = export.from_bars.parity if export.from_bars else None
    if plain is None or from_bars is None:
        return Rule(name="parity", value=None, bound=None, passed=False, note=f"no verified {MODEL_FROM_BARS}")
    worst = max((plain, from_bars), key=lambda parity: parity.scaled)
    return _at_most("parity", worst.scaled, worst.bound, "of ONNX and the net, scaled output")


def _at_most(name: str, value: float | None, bound: float, note: str) -> Rule:
    return Rule(name=name, value=value, bound=bound, passed=value is not None and value <= bound, note=note)


def _at_least(name: str, value: float | None, bound: float, note: str) -> Rule:
    return Rule(name=name, value=value, bound=bound, passed=value is not None and value >= bound, note=note)


def _ratio(own: float | None, other: float | None) -> float | None:
    if own is None or other is None:
        return None
    if other == 0:
        return 1.0 if own == 0 else None
    return own / other
