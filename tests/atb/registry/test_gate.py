from __future__ import annotations

import numpy as np
import pytest

from atb.documents.champion import Champion
from atb.documents.evaluation import BacktestSummary, ChampionComparison, Evaluation, NotCompared
from atb.documents.export import ExportSummary
from atb.documents.result import Result, Rule
from atb.registry.gate import Bounds, check_candidate, describe, failures, passes
from tests.atb.registry.candidates import GOOD, NOISE, NOW, make_result, measured
from trainer.evaluate.baselines import fit_linear, forecast_linear
from trainer.evaluate.evaluation import JudgedRows, judge_forecast
from trainer.evaluate.metrics import Floats

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


def failed(rules: tuple[Rule, ...]) -> list[str]:
    return [rule.name for rule in rules if not rule.passed]


def test_a_first_model_with_skill_shown_passes() -> None:
    rules = check_candidate(make_result(), None)
    assert passes(rules)
    assert [rule.name for rule in rules] == ["skill-shown", "spread", "parity", "drawdown"]


def test_a_first_model_without_skill_fails_unless_it_is_accepted_by_name() -> None:
    assert failed(check_candidate(make_result(metrics=NOISE), None)) == ["skill-shown"]
    assert passes(check_candidate(make_result(metrics=NOISE), None, accept_first=True))


@pytest.mark.parametrize("accept_first", [True, False])
def test_a_constant_model_never_passes(accept_first: bool) -> None:
    assert "spread" in failed(check_candidate(make_result(spread=0.0), None, accept_first=accept_first))


@pytest.mark.parametrize(("ratio", "fails"), [(1.049, []), (1.051, ["rmse-over-champion"]), (0.5, [])])
def test_five_percent_of_rmse_is_the_tolerance(ratio: float, fails: list[str]) -> None:
    result = make_result(champion=measured("models/e0", rmse=1.0 / ratio))
    assert failed(check_candidate(result, CHAMPION)) == fails


@pytest.mark.parametrize(("skill", "fails"), [(0.016, []), (0.014, ["skill-kept"]), (-0.001, ["skill-kept"])])
def test_half_of_the_champion_s_skill_must_be_kept_within_the_tolerance(skill: float, fails: list[str]) -> None:
    champion = measured("models/e0", GOOD | {"rmse": 1.02, "skill": skill}, skill=0.03, skill_low=0.001)
    assert failed(check_candidate(make_result(champion=champion), CHAMPION)) == fails


def test_a_champion_without_skill_sets_no_bar_and_can_not_be_followed_by_noise() -> None:
    champion = measured("models/e0", NOISE, rmse=2.0, skill=-0.01, skill_low=-0.02)
    assert failed(check_candidate(make_result(metrics=NOISE, champion=champion), CHAMPION)) == ["skill-shown"]
    assert failed(check_candidate(make_result(metrics=NOISE, champion=champion), CHAMPION, accept_first=True)) == [
        "skill-shown"
    ]
    assert passes(check_candidate(make_result(champion=champion), CHAMPION))


NOT_COMPARED = NotCompared(entry="models/e0", run="r0", job="BTCUSDT-fast", problem="it has no model from bars")


@pytest.mark.parametrize("champion", [None, measured("models/another"), NOT_COMPARED])
def test_a_champion_that_the_job_did_not_measure_fails_the_candidate(
    champion: ChampionComparison | NotCompared | None,
) -> None:
    assert "champion-measured" in failed(check_candidate(make_result(champion=champion), CHAMPION))


def test_parity_and_drawdown_have_their_rules() -> None:
    assert failed(check_candidate(make_result(parity_error=2e-5), None)) == ["parity"]
    assert failed(check_candidate(make_result(parity_error=None), None)) == ["parity"]
    assert failed(check_candidate(make_result(drawdown=0.3), None)) == ["drawdown"]
    assert passes(check_candidate(make_result(drawdown=0.3, hold_drawdown=0.4), None))
    assert failed(check_candidate(make_result(), None, bounds=Bounds(drawdown=0.05, least_spread=0.5))) == ["spread"]


def test_a_result_without_the_numbers_fails_rather_than_passes() -> None:
    nothing = {"metrics": {}, "evaluation": Evaluation(), "backtest": BacktestSummary(), "export": ExportSummary()}
    bare = make_result().model_copy(update=nothing)
    rules = check_candidate(bare, None)
    assert failed(rules) == ["skill-shown", "spread", "parity", "drawdown"]
    assert not passes(())


def test_a_failure_is_told_in_one_line() -> None:
    rules = check_candidate(make_result(metrics=NOISE), None)
    assert failures(rules).startswith("skill-shown -0.02 (bound 0): no champion")
    assert failures(rules).endswith("must be above 0, here of 400 rows")
    assert describe(Rule(name="parity", value=None, bound=None, passed=False)) == "parity"
    assert describe(Rule(name="spread", value=None, bound=0.02, passed=False)) == "spread unknown (bound 0.02)"


def linear_candidate(close: Floats) -> Result:
    """A cheap learner on 2,000 bars, judged as a net is."""
    train, test = np.arange(60, 1_500), np.arange(1_560, len(close) - 1)
    rows = JudgedRows(close, test, 1, 3_600_000)
    forecast = forecast_linear(fit_linear(close, train, 1, 60), close, test)
    found = judge_forecast(rows, forecast, train, 60)
    return make_result(metrics=found.metrics).model_copy(
        update={"evaluation": found.evaluation, "backtest": found.backtest}
    )


def test_a_learner_on_random_walks_never_passes() -> None:
    for seed in range(120):
        rng = np.random.default_rng(seed)
        steps = rng.standard_t(3, size=2_000) if seed % 2 else rng.normal(size=2_000)
        close = np.exp(np.cumsum(steps * 0.01))
        assert "skill-shown" in failed(check_candidate(linear_candidate(close), None)), seed


def test_a_learner_on_a_sine_passes() -> None:
    close = 100 * np.exp(0.2 * np.sin(2 * np.pi * np.arange(2_000) / 48))
    assert passes(check_candidate(linear_candidate(close), None))
