"""One job on real bars, on a directory and on S3: all that its result says is so."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import onnxruntime
import pytest

from atb.contract import bundle, keys
from atb.contract.spec import Spec, resolve_spec
from atb.documents.attempt import Claim, ExitReport, Progress
from atb.documents.result import TOTAL_STAGE, Result, ResultPointer
from atb.errors import SpecError
from atb.registry.pull import bundle_file, read_file
from atb.storage import DirectoryStore, Store, open_store
from tests.trainer.pipeline.market import train
from trainer.features.scaling import Scaler, TargetScaler
from trainer.features.training_data import load_training_data, split_training_data
from trainer.features.windows import gather_windows
from trainer.networks.build import load_network
from trainer.pipeline.stages import STAGES

AS_OF = datetime(2026, 3, 1, tzinfo=UTC)
JOBS: dict[str, list[tuple[str, str]]] = {
    "directory": [("BTCUSDT", preset) for preset in ("fast", "quality")],
    "s3": [("ETHUSDT", "fast")],
}
"""A net of GRUs and one of LSTMs; ``test_presets`` trains and exports all of them."""
CASES = [(kind, symbol, preset) for kind, jobs in JOBS.items() for symbol, preset in jobs]


def real_spec(bars: Path, symbol: str, preset: str, **options: Any) -> Spec:
    """40 days of real bars: enough for the presets' own windows."""
    window = {"source": f"files:{bars / 'perp'}", "days": 40, "as_of": AS_OF, "epochs": 1}
    return resolve_spec(symbol, preset, window | options)


@pytest.fixture(scope="module")
def jobs(
    shared_bars: Path, s3_endpoint: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, str, str], tuple[Store, Result]]:
    stores: dict[str, Store] = {
        "directory": DirectoryStore(tmp_path_factory.mktemp("store")),
        "s3": open_store("s3://atb-tests/jobs/prefix", s3_endpoint),
    }
    return {
        (kind, symbol, preset): (stores[kind], train(stores[kind], "r1", real_spec(shared_bars, symbol, preset)))
        for kind, symbol, preset in CASES
    }


Jobs = dict[tuple[str, str, str], tuple[Store, Result]]


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_every_file_that_a_result_names_is_there_as_it_says(jobs: Jobs, case: tuple[str, str, str]) -> None:
    store, result = jobs[case]
    assert Result.from_bytes(store.get(keys.result("r1", result.job)), "result") == result
    for file in result.files:
        data = store.get(file.key)
        assert (len(data), hashlib.sha256(data).hexdigest()) == (file.size, file.sha256), file.path
    named = {file.path for file in result.files}
    assert named >= {
        bundle.MODEL, bundle.MODEL_FROM_BARS, bundle.MODEL_KERAS, bundle.SCALER, bundle.FEATURE_SCHEMA, bundle.HISTORY,
        bundle.METRICS, bundle.CARD, "plots/loss.png", "plots/forecast.png", "plots/errors.png", "plots/equity.png",
        bundle.SHOWN,
    }  # fmt: skip
    there = {entry.key for entry in store.list(keys.bundle("r1", result.job, 1, ""))}
    assert there == {file.key for file in result.files}


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_every_document_of_a_job_is_strict_json(jobs: Jobs, case: tuple[str, str, str]) -> None:
    store, result = jobs[case]
    documents = [entry.key for entry in store.list(keys.run_prefix("r1")) if entry.key.endswith(".json")]
    assert len(documents) >= 8
    for key in documents:
        json.loads(store.get(key), parse_constant=refuse)
    Claim.from_bytes(store.get(keys.attempt("r1", result.job, 1, "claim.json")), "claim")
    report = ExitReport.from_bytes(store.get(keys.attempt("r1", result.job, 1, "exit.json")), "exit report")
    assert (report.code, report.category, report.stage) == (0, "done", "saving")
    Progress.from_bytes(store.get(keys.progress("r1", result.job)), "progress")
    pointer = ResultPointer.from_bytes(store.get(keys.result_index(result.spec_digest)), "pointer")
    assert (pointer.run, pointer.job, pointer.bars_digest) == ("r1", result.job, result.bars.digest)


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_the_stored_onnx_model_answers_as_the_stored_keras_model(
    jobs: Jobs, case: tuple[str, str, str], tmp_path: Path
) -> None:
    store, result = jobs[case]
    model, scaler, target = stored_keras(store, result, tmp_path)
    spec = result.spec
    data = load_training_data(spec, store)
    split = split_training_data(spec, data)
    ends = np.concatenate([split.train, split.test])[-300:]
    windows = gather_windows(data.flat, ends, spec.sequence_length)
    keras = np.asarray(model(scaler.transform(windows), training=False))[:, 0]
    session = onnxruntime.InferenceSession(read_file(store, bundle_file(result.files, bundle.MODEL, "r1")))
    scaled, price = session.run([bundle.SCALED, bundle.PRICE], {bundle.FEATURES: windows})
    np.testing.assert_allclose(scaled[:, 0], keras, atol=1e-4)
    np.testing.assert_allclose(price[:, 0], target.price(keras, data.bars.close[ends]), rtol=1e-5)
    assert result.export.model is not None
    assert result.export.model.parity is not None
    assert result.export.model.parity.windows >= 256


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_a_result_holds_the_stage_table_and_the_baselines(jobs: Jobs, case: tuple[str, str, str]) -> None:
    _, result = jobs[case]
    seconds = {stage.name: stage.seconds for stage in result.stages}
    assert tuple(seconds) == (*STAGES, TOTAL_STAGE)
    assert seconds[TOTAL_STAGE] >= sum(seconds[name] for name in STAGES)
    assert seconds["training"] > 0
    assert set(result.baselines) == {"persistence", "linear", "trees"}
    assert set(result.metrics) - {"skill_over_best", "skill_over_best_low"} == set(result.baselines["linear"])
    assert result.bars.synthetic is False
    assert not result.fit.resumed_from_attempt


def test_the_second_call_for_a_run_finds_nothing_to_do(jobs: Jobs, shared_bars: Path) -> None:
    store, result = jobs["directory", "BTCUSDT", "fast"]
    before = {entry.key: entry.etag for entry in store.list("")}
    assert train(store, "r1", result.spec) == result
    assert {entry.key: entry.etag for entry in store.list("")} == before


def test_another_spec_under_the_same_run_is_refused(jobs: Jobs, shared_bars: Path) -> None:
    store, result = jobs["directory", "BTCUSDT", "fast"]
    with pytest.raises(SpecError, match=r"result of a different spec.*name another --run"):
        train(store, "r1", real_spec(shared_bars, "BTCUSDT", "fast", seed=7))
    assert Result.from_bytes(store.get(keys.result("r1", result.job)), "result") == result


def stored_keras(store: Store, result: Result, folder: Path) -> tuple[Any, Scaler, TargetScaler]:
    """The net and both scalers as a stranger reads them from the bundle."""
    path = folder / bundle.MODEL_KERAS
    path.write_bytes(read_file(store, bundle_file(result.files, bundle.MODEL_KERAS, result.run)))
    scaling = json.loads(read_file(store, bundle_file(result.files, bundle.SCALER, result.run)))
    return load_network(path), Scaler.from_dict(scaling["features"]), TargetScaler.from_dict(scaling["target"])


def refuse(constant: str) -> NoReturn:
    raise AssertionError(f"{constant} in a document")
