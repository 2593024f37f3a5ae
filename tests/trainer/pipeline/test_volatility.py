"""A job whose target is volatility, from bars to the champion's forecast."""

from __future__ import annotations

import json
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from atb.comparison import quality_table, symbol_table
from atb.contract import bundle
from atb.documents.evidence import TestRows
from atb.documents.result import Result
from atb.registry.champions import ModelKey, require_champion
from atb.registry.pull import bundle_file, read_file
from atb.storage import DirectoryStore, MemoryStore, Store
from benchmarks.garch import simulate
from tests.atb.registry.test_promote import promote
from tests.trainer.pipeline.market import PLAIN, START, tiny_spec, train, write_rows
from trainer.bundle.comparison import draw_comparison
from trainer.cli import atb
from trainer.evaluate.bands import conformal_quantiles
from trainer.evaluate.metrics import volatility_metrics
from trainer.features.har import Har
from trainer.forecast import run_from_bars
from trainer.pipeline.compare import compare_presets

ROWS = 1_500
TIME: dict[str, Any] = {"as_of": START + timedelta(hours=ROWS), "target": "volatility"}
RESIDUALS = ("har", "none")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("market")
    write_rows(folder, "GARCH", simulate(ROWS, 3)[0].values)
    write_rows(folder, "STILL", simulate(ROWS, 4, 0.0, 0.0)[0].values)
    return folder


@pytest.fixture(scope="module")
def jobs(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, dict[str, Result]]:
    store = DirectoryStore(str(tmp_path_factory.mktemp("store")))
    return store, {
        residual: train(store, residual, tiny_spec(folder, "GARCH", epochs=4, residual=residual, **TIME))
        for residual in RESIDUALS
    }


def file_of(store: Store, result: Result, name: str) -> bytes:
    return read_file(store, bundle_file(result.files, name, result.run))


def rows_of(store: Store, result: Result, split: str) -> dict[str, npt.NDArray[Any]]:
    table = pq.read_table(BytesIO(file_of(store, result, bundle.FORECASTS)), filters=[("split", "==", split)])
    columns = {name: table[name].to_numpy() for name in table.column_names}
    return columns | {"time": columns["time"].astype("datetime64[ms]").astype(np.int64)}


def test_a_net_that_learns_what_har_leaves_is_let_through_and_beats_persistence(
    jobs: tuple[Store, dict[str, Result]],
) -> None:
    result = jobs[1]["har"]
    assert result.metrics["skill_low"] > 0
    assert next(iter(result.baselines)) == min(result.baselines, key=lambda name: result.baselines[name]["rmse"])
    assert set(result.baselines) == {"persistence", "ewma", "har", "ridge", "trees"}
    verdicts = {rule.name: rule for rule in result.gate}
    assert "drawdown" not in verdicts
    assert verdicts["not-behind-baseline"].bound == 1.01
    assert verdicts["parity"].passed
    assert verdicts["spread"].passed
    assert not result.backtest.model
    assert result.fit.residual_weight is not None
    assert 0 <= result.fit.residual_weight <= 1
    assert (
        f"{result.fit.residual_weight:.0%} of the net's output is added"
        in file_of(jobs[0], result, bundle.CARD).decode()
    )
    assert jobs[1]["none"].fit.residual_weight is None


@pytest.mark.parametrize("residual", RESIDUALS)
def test_the_file_of_forecasts_gives_the_result_s_numbers(jobs: tuple[Store, dict[str, Result]], residual: str) -> None:
    store, results = jobs
    result = results[residual]
    rows = rows_of(store, result, "test")
    assert len(rows["time"]) == result.split.test
    logs = {name: np.log(rows[name]) for name in ("forecast", "actual", "baseline_persistence", "baseline_har")}
    found = dict(volatility_metrics(logs["actual"], logs["forecast"], logs["baseline_persistence"]))
    assert found == pytest.approx({name: result.metrics[name] for name in found})
    har = dict(volatility_metrics(logs["actual"], logs["baseline_har"], logs["baseline_persistence"]))
    assert har["rmse"] == pytest.approx(result.baselines["har"]["rmse"])
    for number, level in enumerate((0.5, 0.8, 0.95)):
        inside = (rows["actual_close"] >= rows[f"lower_{level}"]) & (rows["actual_close"] <= rows[f"upper_{level}"])
        assert inside.mean() == pytest.approx(result.evaluation.bands["model"]["all"][number].coverage)
    assert set(result.evaluation.bands) == {"model", "ewma", "historical"}
    assert set(result.evaluation.bands["model"]) == {"all", "calm", "usual", "wild"}


def test_the_bands_are_as_wide_as_the_validation_rows_say(jobs: tuple[Store, dict[str, Result]]) -> None:
    store, results = jobs
    known, tested = (rows_of(store, results["har"], split) for split in ("validation", "test"))
    scores = np.abs(np.log(known["actual_close"] / known["last_close"])) / known["forecast"]
    widths = np.log(tested["upper_0.8"] / tested["last_close"]) / tested["forecast"]
    assert widths == pytest.approx(conformal_quantiles((0.8,), scores)[0], rel=1e-9)


@pytest.mark.parametrize("residual", RESIDUALS)
def test_the_model_from_raw_bars_gives_the_forecasts_and_bands_of_the_test_rows(
    jobs: tuple[Store, dict[str, Result]], residual: str
) -> None:
    store, results = jobs
    result = results[residual]
    bars = simulate(ROWS, 3)[0]
    bars = type(bars)(bars.symbol, "1h", int(START.timestamp() * 1000) + 3_600_000 * np.arange(ROWS), bars.values)
    session = onnxruntime.InferenceSession(file_of(store, result, bundle.MODEL_FROM_BARS))
    assert {value.name for value in session.get_inputs()} == {bundle.BARS, bundle.TIME}
    assert [value.name for value in session.get_outputs()] == ["scaled", "volatility", "lower", "upper"]
    rows = rows_of(store, result, "test")
    assert result.export.from_bars is not None
    needed = result.export.from_bars.rows or 0
    ends = np.searchsorted(bars.time, rows["time"])[:20]
    found = run_from_bars(session, [bars.rows(end + 1 - needed, end + 1) for end in ends], [])
    scale = json.loads(file_of(store, result, bundle.SCALER))["target"]["scale"] or 1.0  # 0 where none of it is kept
    assert np.abs(np.log(found["volatility"][:, 0] / rows["forecast"][:20])).max() / scale < 1e-5
    assert found["lower"][:, 1] == pytest.approx(rows["lower_0.8"][:20], rel=1e-6)
    assert found["upper"][:, 2] == pytest.approx(rows["upper_0.95"][:20], rel=1e-6)


def test_har_and_its_weights_are_in_the_bundle_where_the_net_learns_what_it_leaves(
    jobs: tuple[Store, dict[str, Result]],
) -> None:
    store, results = jobs
    found = {residual: json.loads(file_of(store, results[residual], bundle.SCALER)) for residual in RESIDUALS}
    assert len(Har.from_dict(found["har"]["har"]).weights) == len(found["har"]["har"]["columns"])
    assert "har" not in found["none"]


def test_the_card_and_the_ledger_speak_of_volatility(jobs: tuple[Store, dict[str, Result]]) -> None:
    store, results = jobs
    card = file_of(store, results["har"], bundle.CARD).decode()
    assert card.startswith("# GARCH 1h fast volatility 1\n")
    for words in (
        "Parkinson",
        "R² over the train rows' mean",
        "QLIKE",
        "## Price bands one bar ahead",
        "--target volatility",
    ):
        assert words in card
    assert "## Trading" not in card
    rows = TestRows.from_bytes(file_of(store, results["har"], bundle.EVIDENCE), "evidence")
    tested = rows_of(store, results["har"], "test")
    bar = tested[f"baseline_{rows.bar}"]
    assert rows.outcome == pytest.approx(np.log(tested["actual"] / bar), abs=1e-4)
    assert rows.linear == pytest.approx(np.log(tested["baseline_har"] / bar), abs=1e-4)


def test_the_champion_of_volatility_forecasts_it_with_bands(
    jobs: tuple[Store, dict[str, Result]], folder: Path
) -> None:
    store, results = jobs
    assert promote(store, results["har"], accept_first=True).action == "promote"
    assert require_champion(store, ModelKey("GARCH", "1h", "fast", "volatility", 1)).run == "har"
    words = ["predict", "GARCH", "--target", "volatility", "--as-of", f"{TIME['as_of']:%Y-%m-%dT%H:%MZ}"]
    words += ["--store", store.url, "--source", f"files:{folder}"]
    done = CliRunner().invoke(atb, [*words, "--output", "json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["volatility_by_year"] == pytest.approx(found["volatility"] * np.sqrt(365 * 24))
    assert [band["level"] for band in found["bands"]] == [0.5, 0.8, 0.95]
    widths = [band["upper"] - band["lower"] for band in found["bands"]]
    assert widths == sorted(widths)
    assert "price" not in found
    printed = CliRunner().invoke(atb, words, catch_exceptions=False).stdout
    assert "per bar" in printed
    assert "per year" in printed
    assert len([line for line in printed.splitlines() if " … " in line]) == 3


def test_presets_of_volatility_are_compared_on_their_shared_rows(jobs: tuple[Store, dict[str, Result]]) -> None:
    store, results = jobs
    found = compare_presets(store, "har", [results["har"]])
    assert found.trained[0].metrics["rmse"] == pytest.approx(results["har"].metrics["rmse"], rel=1e-4)
    assert set(found.trained[0].baselines) == {"persistence", "ewma", "har", "ridge", "trees"}
    assert [row[0] for row in quality_table(found)][-2:] == ["skill of the HAR baseline", "skill of the best baseline"]
    assert symbol_table(found)[1][0] == "GARCH"
    assert draw_comparison(found).axes


@pytest.fixture(scope="module")
def others(folder: Path) -> dict[str, Result]:
    store = MemoryStore()
    specs = {
        "day": tiny_spec(folder, "GARCH", horizon=24, onnx=False, folds=1, net=PLAIN, **TIME),
        "relative": tiny_spec(folder, "GARCH", features="relative", **TIME),
        "still": tiny_spec(folder, "STILL", onnx=False, net=PLAIN, **TIME),
    }
    return {name: train(store, name, spec) for name, spec in specs.items()}


def test_a_day_ahead_and_other_features_are_trained_and_judged_too(others: dict[str, Result]) -> None:
    assert others["day"].spec.horizon == 24
    assert others["day"].evaluation.folds is not None
    assert "r2" in others["day"].metrics
    assert others["relative"].spec.residual == "none"
    assert others["relative"].baselines["har"]["skill"] > 0


def test_constant_volatility_is_known_no_better_than_by_its_mean(others: dict[str, Result]) -> None:
    result = others["still"]
    assert result.metrics["r2"] < 0.05  # what beats persistence there is the mean alone
    assert result.evaluation.over["har"]["skill_low"] <= 0
