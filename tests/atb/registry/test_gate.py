from __future__ import annotations

from dataclasses import replace

import pytest

from atb.documents.champion import Champion
from atb.documents.evaluation import BacktestSummary, ChampionComparison, Evaluation, NotCompared
from atb.documents.export import ExportSummary
from atb.documents.result import Rule
from atb.registry.gate import Bounds, Shown, check_candidate, describe, failures, passes, verdict
from tests.atb.registry.candidates import GOOD, NOISE, NOTHING, NOW, SHOWN, make_result, measured

CHAMPION = Champion(
    symbol="BTCUSDT",
    timeframe="1h",
    preset="fast",
    run="r0",
    job="BTCUSDT-fast",
    result="runs/r0/jobs/BTCUSDT-fast/result.json",
    spec_digest="0" * 64,
    as_of=NOW,
    unseen_from=NOW,
    metrics={},
    baselines={},
    files=(),
    promoted=NOW,
    by="me",
    entry="models/e0",
)


RULES = ["skill-shown", "no-worse-than-bar", "not-behind-baseline", "spread", "parity", "drawdown"]


def failed(rules: tuple[Rule, ...]) -> list[str]:
    return [rule.name for rule in rules if not rule.passed]


def test_a_first_model_with_skill_shown_passes() -> None:
    rules = check_candidate(make_result(), None, SHOWN)
    assert passes(rules)
    assert [rule.name for rule in rules] == RULES


def test_a_first_model_without_skill_fails_unless_it_is_accepted_by_name() -> None:
    assert failed(check_candidate(make_result(metrics=NOISE), None, NOTHING)) == ["skill-shown", "no-worse-than-bar"]
    assert passes(check_candidate(make_result(metrics=NOISE), None, NOTHING, accept_first=True))


@pytest.mark.parametrize("accept_first", [True, False])
def test_a_constant_model_never_passes(accept_first: bool) -> None:
    assert "spread" in failed(check_candidate(make_result(spread=0.0), None, SHOWN, accept_first=accept_first))


@pytest.mark.parametrize(("ratio", "fails"), [(1.049, []), (1.051, ["rmse-over-champion"]), (0.5, [])])
def test_five_percent_of_rmse_is_the_tolerance(ratio: float, fails: list[str]) -> None:
    result = make_result(champion=measured("models/e0", rmse=1.0 / ratio))
    assert failed(check_candidate(result, CHAMPION, SHOWN)) == fails


@pytest.mark.parametrize(("skill", "fails"), [(0.016, []), (0.014, ["skill-kept"]), (-0.001, ["skill-kept"])])
def test_half_of_the_champion_s_skill_must_be_kept_within_the_tolerance(skill: float, fails: list[str]) -> None:
    champion = measured("models/e0", GOOD | {"rmse": 1.02, "skill": skill}, skill=0.03, skill_low=0.001)
    assert failed(check_candidate(make_result(champion=champion), CHAMPION, SHOWN)) == fails


def test_a_champion_without_skill_sets_no_bar_but_noise_cannot_replace_it() -> None:
    champion = measured("models/e0", NOISE, rmse=2.0, skill=-0.01, skill_low=-0.02)
    assert failed(check_candidate(make_result(metrics=NOISE, champion=champion), CHAMPION, NOTHING)) == [
        "skill-shown",
        "no-worse-than-bar",
    ]
    assert failed(
        check_candidate(make_result(metrics=NOISE, champion=champion), CHAMPION, NOTHING, accept_first=True)
    ) == ["skill-shown", "no-worse-than-bar"]
    assert passes(check_candidate(make_result(champion=champion), CHAMPION, SHOWN))


NOT_COMPARED = NotCompared(entry="models/e0", run="r0", job="BTCUSDT-fast", problem="it has no model from bars")


@pytest.mark.parametrize("champion", [None, measured("models/another"), NOT_COMPARED])
def test_a_champion_that_the_job_did_not_measure_fails_the_candidate(
    champion: ChampionComparison | NotCompared | None,
) -> None:
    assert "champion-measured" in failed(check_candidate(make_result(champion=champion), CHAMPION, SHOWN))


@pytest.mark.parametrize(
    ("source", "named"),
    [("files:perp", ", trained on bars of files:perp and not of binance"), ("binance", ""), ("", "")],
)
def test_a_champion_trained_on_bars_of_another_source_is_said_to_be(source: str, named: str) -> None:
    champion = CHAMPION.model_copy(update={"source": source})
    rules = check_candidate(make_result(champion=measured(champion.entry)), champion, SHOWN)
    note = next(rule.note for rule in rules if rule.name == "champion-measured")
    assert note == f"the champion is {champion.run} {champion.job}{named}"


def test_parity_and_drawdown_have_their_rules() -> None:
    assert failed(check_candidate(make_result(parity_error=2e-5), None, SHOWN)) == ["parity"]
    assert failed(check_candidate(make_result(parity_error=None), None, SHOWN)) == ["parity"]
    assert failed(check_candidate(make_result(drawdown=0.3), None, SHOWN)) == ["drawdown"]
    assert passes(check_candidate(make_result(drawdown=0.3, hold_drawdown=0.4), None, SHOWN))
    assert failed(check_candidate(make_result(), None, SHOWN, bounds=Bounds(drawdown=0.05, least_spread=0.5))) == [
        "spread"
    ]


def test_a_result_without_the_numbers_fails_rather_than_passes() -> None:
    nothing = {"metrics": {}, "evaluation": Evaluation(), "backtest": BacktestSummary(), "export": ExportSummary()}
    bare = make_result().model_copy(update=nothing)
    rules = check_candidate(bare, None, None)
    assert failed(rules) == RULES
    assert not passes(())


def test_a_failure_is_one_line() -> None:
    rules = check_candidate(make_result(metrics=NOISE), None, NOTHING)
    assert failures(rules) == (
        "skill-shown 1 (bound 20): e-value of 400 rows, spent by 1 model; false-discovery rate 0.05, as if it were "
        "alone; no-worse-than-bar -0.01 (bound 0): skill on 400 test rows"
    )
    assert describe(Rule(name="parity", value=None, bound=None, passed=False)) == "parity"
    assert describe(Rule(name="spread", value=None, bound=0.02, passed=False)) == "spread unknown (bound 0.02)"


def test_a_waived_rule_is_recorded_as_waived_and_not_as_passed() -> None:
    rules = check_candidate(make_result(metrics=NOISE), None, NOTHING, accept_first=True)
    assert passes(rules)
    assert [(rule.name, rule.passed, verdict(rule)) for rule in rules if rule.waived] == [
        ("skill-shown", False, "waived"),
        ("no-worse-than-bar", False, "waived"),
    ]
    assert not any(rule.waived for rule in check_candidate(make_result(), None, SHOWN, accept_first=True))


@pytest.mark.parametrize("shown", [None, replace(NOTHING, problem="its file is damaged")])
def test_a_candidate_without_evidence_fails_and_says_why(shown: Shown | None) -> None:
    (rule,) = [rule for rule in check_candidate(make_result(), None, shown) if not rule.passed]
    assert (rule.name, rule.value) == ("skill-shown", None)
    assert rule.note == (shown.problem if shown else "this model left no evidence; train again")


def test_skill_must_be_shown_beside_a_champion_of_skill_too() -> None:
    champion = measured("models/e0", skill=0.03, skill_low=0.001)
    assert failed(check_candidate(make_result(champion=champion), CHAMPION, NOTHING)) == ["skill-shown"]


def behind(skill: float, baselines: dict[str, float], **options: str) -> Rule:
    """The rule on baselines, for a model and baselines of these skills over a persistence of RMSE 1."""
    result = make_result(metrics=GOOD | {"rmse": 1 - skill, "skill": skill}, options=options)
    measured = {name: NOISE | {"rmse": 1 - each, "skill": each} for name, each in baselines.items()}
    rules = check_candidate(result.model_copy(update={"baselines": measured}), None, SHOWN)
    return next(rule for rule in rules if rule.name == "not-behind-baseline")


def test_a_net_behind_the_linear_model_is_not_promoted() -> None:
    rule = behind(0.146, {"persistence": 0.0, "linear": 0.171, "trees": 0.1})
    assert not rule.passed
    assert rule.value == pytest.approx(0.854 / 0.829)
    assert "linear, the best baseline" in rule.note
    assert behind(0.171, {"persistence": 0.0, "linear": 0.171}).passed
    assert not behind(0.17, {"persistence": 0.0, "linear": 0.171}).passed


def test_a_net_of_volatility_may_be_one_percent_behind_the_best_baseline() -> None:
    baselines = {"persistence": 0.0, "har": 0.18, "trees": 0.2}
    assert behind(0.1921, baselines, target="volatility").passed
    assert not behind(0.1919, baselines, target="volatility").passed
    rules = check_candidate(make_result(options={"target": "volatility"}, drawdown=0.9), None, SHOWN)
    assert "drawdown" not in [rule.name for rule in rules]
