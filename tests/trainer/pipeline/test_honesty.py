"""A net that can learn is let through, and one that can't is not, by the whole job with nothing left out."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from atb.documents.evaluation import ChampionComparison
from atb.documents.result import Result
from atb.errors import DataError, SpecError
from atb.registry.champions import ModelKey, require_champion
from atb.registry.gate import check_candidate, passes
from atb.registry.record import is_behind, read_record
from atb.registry.warm import pin_warm_start
from atb.storage import MemoryStore, Store
from tests.atb.registry.test_promote import promote
from tests.trainer.pipeline.market import ROWS, START, sine_close, tiny_spec, train, write_bars
from trainer.pipeline.champion import compare_again

MODEL_KEY = ModelKey("WAVE", "1h", "fast")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("market")
    write_bars(folder, "WAVE", sine_close(1e-6))
    write_bars(folder, "FLAT", np.full(ROWS, 7.0))
    return folder


@pytest.fixture(scope="module")
def waves(folder: Path) -> tuple[Store, Result, Result]:
    """A store, its champion, and a candidate that met it; the candidate's test rows are new to the champion."""
    store = MemoryStore()
    earlier = START + timedelta(hours=ROWS - 100)
    first = train(store, "r1", tiny_spec(folder, "WAVE", epochs=6, as_of=earlier, folds=2))
    promote(store, first, accept_first=True)
    second = train(store, "r2", tiny_spec(folder, "WAVE", epochs=6, augment="jitter", seed=7))
    return store, first, second


def test_a_wave_is_learnt_and_only_the_linear_model_that_knows_it_to_the_last_digit_is_better(
    waves: tuple[Store, Result, Result],
) -> None:
    _, first, _ = waves
    assert first.metrics["skill"] > 0.5
    assert next(iter(first.baselines)) == "linear"
    assert [rule.name for rule in first.gate if not rule.passed] == ["not-behind-baseline"]
    assert passes(check_candidate(first, None, None, accept_first=True))


def test_the_candidate_is_measured_beside_the_champion_on_rows_new_to_both(
    waves: tuple[Store, Result, Result],
) -> None:
    store, _, second = waves
    beside = second.evaluation.champion
    assert isinstance(beside, ChampionComparison)
    assert beside.entry == require_champion(store, MODEL_KEY).entry
    assert beside.run == "r1"
    assert 0 < beside.rows <= second.split.test
    assert beside.champion["skill"] > 0.5
    assert "rmse-over-champion" in [rule.name for rule in second.gate]


def test_the_champion_is_scored_on_the_bars_after_its_cut_by_the_next_job(
    waves: tuple[Store, Result, Result],
) -> None:
    store, first, second = waves
    record = read_record(store, require_champion(store, MODEL_KEY))
    assert record is not None
    assert record.run == second.run
    # closed after its cut, with a close to compare with: the last 100 bars and the one before them
    assert record.total_rows == 100
    assert record.until == second.spec.as_of - timedelta(hours=2)
    assert record.skill > 0.5
    assert not is_behind(record)
    assert [(band.level, band.rows) for band in record.bands] == [(0.5, 100), (0.8, 100), (0.95, 100)]
    assert record.bands[0].inside <= record.bands[1].inside <= record.bands[2].inside
    promised = require_champion(store, MODEL_KEY).bands
    assert promised == first.evaluation.bands["model"]["all"]
    assert record.bands[2].coverage == pytest.approx(promised[2].coverage, abs=0.15)
    assert first.metrics["skill"] == pytest.approx(record.skill, abs=0.2)


def test_comparing_again_from_the_store_finds_the_same(waves: tuple[Store, Result, Result]) -> None:
    store, _, second = waves
    again = compare_again(store, second, require_champion(store, MODEL_KEY))
    beside = second.evaluation.champion
    assert isinstance(again, ChampionComparison)
    assert isinstance(beside, ChampionComparison)
    assert again.rows == pytest.approx(beside.rows, abs=second.spec.sequence_length)
    assert again.champion["skill"] == pytest.approx(beside.champion["skill"], abs=0.02)
    assert again.candidate["skill"] == pytest.approx(beside.candidate["skill"], abs=0.02)


def test_folds_are_in_the_result(waves: tuple[Store, Result, Result]) -> None:
    folds = waves[1].evaluation.folds
    assert folds is not None
    assert folds.count == len(folds.each) == 2
    assert folds.mean["skill"] > 0


def test_a_price_that_stands_still_is_refused_before_training(folder: Path) -> None:
    with pytest.raises(DataError, match="FLAT 1h: the price moves in 0 of 629 bars of the train part, 2026-01-01T"):
        train(MemoryStore(), "r1", tiny_spec(folder, "FLAT"))


def test_a_warm_start_begins_where_the_champion_ended(waves: tuple[Store, Result, Result], folder: Path) -> None:
    store, _, _ = waves
    pinned = pin_warm_start(store, "champion", MODEL_KEY)
    warm = train(store, "r3", tiny_spec(folder, "WAVE", epochs=1, warm_start=pinned, learning_rate=1e-6))
    assert warm.fit.best_validation_loss < 0.3  # one epoch at such a rate learns nothing: from scratch it stays at 1


def test_a_warm_start_that_has_seen_the_test_rows_is_refused(waves: tuple[Store, Result, Result], folder: Path) -> None:
    store, _, _ = waves
    earlier = tiny_spec(folder, "WAVE", warm_start=pin_warm_start(store, "champion", MODEL_KEY))
    earlier = earlier.model_copy(update={"as_of": earlier.as_of - timedelta(days=5)})
    with pytest.raises(SpecError, match=r"has seen bars up to .*, and this training is tested from .* on"):
        train(store, "r4", earlier)
