"""Forecasts from a bundle."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from atb.contract import bundle
from atb.contract import timeframe as tf
from atb.errors import DataError, SpecError
from tests.trainer.export.test_export import export
from tests.trainer.export.trained import Fitted, make_bars, make_fitted
from trainer.bars.frame import join_bars
from trainer.forecast import Forecaster, forecast, open_forecaster, open_session, read_directory

ROWS = 318


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    bars = make_bars(600, 1e-6, extra=("basis",))
    return make_fitted("fast", "relative,+basis", bars, horizon=3)


@pytest.fixture(scope="module")
def folder(fitted: Fitted, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    export(fitted, folder)
    return folder


@pytest.fixture
def forecaster(folder: Path) -> Forecaster:
    return open_forecaster(read_directory(folder))


def test_the_forecast_is_the_trained_net_s_for_the_bar_horizon_bars_on(fitted: Fitted, forecaster: Forecaster) -> None:
    found = forecast(forecaster, fitted.bars)
    window = fitted.flat[-fitted.trained.spec.sequence_length :][None]
    scaled = fitted.predict(fitted.trained.scaler.transform(window))
    assert found.log_return == pytest.approx(float(fitted.trained.target.inverse_transform(scaled)[0]), abs=1e-7)
    assert found.log_return is not None
    assert found.price == pytest.approx(found.last_close * np.exp(found.log_return), rel=1e-6)
    assert found.last_close == fitted.bars.close[-1]
    assert tf.epoch_ms(found.last_open) == fitted.bars.time[-1]
    assert tf.epoch_ms(found.target_open) == fitted.bars.time[-1] + 3 * 3_600_000


def test_bars_before_those_needed_change_nothing(fitted: Fitted, forecaster: Forecaster) -> None:
    assert forecaster.rows == ROWS
    assert forecast(forecaster, fitted.bars.rows(600 - ROWS, 600)) == forecast(forecaster, fitted.bars)


def test_too_few_bars_are_refused(fitted: Fitted, forecaster: Forecaster) -> None:
    with pytest.raises(DataError, match="reads 318 bars without a gap, but only the last 317 have none"):
        forecast(forecaster, fitted.bars.rows(600 - ROWS + 1, 600))


def test_no_bars_are_refused(fitted: Fitted, forecaster: Forecaster) -> None:
    with pytest.raises(DataError, match="only the last 0"):
        forecast(forecaster, fitted.bars.rows(0, 0))


def test_a_gap_in_the_bars_needed_is_refused(fitted: Fitted, forecaster: Forecaster) -> None:
    bars = join_bars([fitted.bars.rows(0, 500), fitted.bars.rows(501, 600)])
    with pytest.raises(DataError, match="only the last 99"):
        forecast(forecaster, bars)


def test_bars_of_another_timeframe_are_refused(fitted: Fitted, forecaster: Forecaster) -> None:
    with pytest.raises(DataError, match="reads 1h bars, but was given 4h bars"):
        forecast(forecaster, dataclasses.replace(fitted.bars, timeframe="4h"))


def test_bars_without_the_extra_column_are_refused(fitted: Fitted, forecaster: Forecaster) -> None:
    with pytest.raises(DataError, match="column basis"):
        forecast(forecaster, dataclasses.replace(fitted.bars, extra={}))


def test_a_folder_that_is_no_bundle_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"is not a bundle: feature_schema\.json"):
        open_forecaster(read_directory(tmp_path))


def test_a_bundle_without_a_model_from_bars_is_refused(folder: Path, tmp_path: Path) -> None:
    schema = json.loads((folder / bundle.FEATURE_SCHEMA).read_text())
    schema["files"] = [entry for entry in schema["files"] if entry["file"] == bundle.MODEL]
    (tmp_path / bundle.FEATURE_SCHEMA).write_text(json.dumps(schema))
    with pytest.raises(SpecError, match=r"no model_from_bars\.onnx"):
        open_forecaster(read_directory(tmp_path))


@pytest.mark.parametrize("schema", ["", "[]", "{}"])
def test_a_schema_that_says_nothing_is_refused(schema: str, tmp_path: Path) -> None:
    (tmp_path / bundle.FEATURE_SCHEMA).write_text(schema)
    with pytest.raises(SpecError, match=r"feature_schema\.json is of another version"):
        open_forecaster(read_directory(tmp_path))


def test_a_file_that_is_no_model_is_one_line() -> None:
    with pytest.raises(SpecError, match=r"^model\.onnx can't be opened") as caught:
        open_session(b"nonsense")
    assert "\n" not in str(caught.value)


def test_a_model_that_is_not_utf_8_is_one_line_and_prints_nothing(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = (folder / bundle.MODEL_FROM_BARS).read_bytes()
    with pytest.raises(SpecError, match=r"^model\.onnx can't be opened"):
        open_session(whole.replace(b"Sub", b"S\xffb"))
    assert capfd.readouterr() == ("", "")


def spoil(model: onnx.ModelProto, how: str) -> None:
    """Make of a model what ONNX Runtime opens and nobody can use."""
    if how == "batch 0":
        for value in model.graph.input:
            value.type.tensor_type.shape.dim[0].dim_value = 0
    elif how == "other names":
        for name in (bundle.RETURN, bundle.PRICE):
            rename(model, name, f"other_{name}")
    else:
        rename(model, bundle.PRICE, "finite")
        number = onnx.numpy_helper.from_array(np.array(float(how), np.float64), "number")
        kind = next(each for each in model.graph.output if each.name == "finite").type.tensor_type.elem_type
        model.graph.initializer.append(number)
        model.graph.node.append(onnx.helper.make_node("Cast", ["number"], ["cast"], to=kind))
        model.graph.node.append(onnx.helper.make_node("Mul", ["finite", "cast"], [bundle.PRICE]))
        next(each for each in model.graph.output if each.name == "finite").name = bundle.PRICE


def rename(model: onnx.ModelProto, old: str, new: str) -> None:
    """Another name for one of the model's outputs."""
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = [new if name == old else name for name in names]
    next(each for each in model.graph.output if each.name == old).name = new


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("batch 0", "can't be run: InvalidArgument"),
        ("other names", "no forecast"),
        ("inf", "no forecast"),
        ("nan", "no forecast"),
        ("-1", "no forecast"),
        ("0", "no forecast"),
    ],
)
def test_a_model_that_opens_and_cannot_be_used_is_one_line(
    how: str, words: str, folder: Path, fitted: Fitted, forecaster: Forecaster
) -> None:
    model = onnx.load(folder / bundle.MODEL_FROM_BARS)
    spoil(model, how)
    spoiled = dataclasses.replace(forecaster, session=open_session(model.SerializeToString()))
    with pytest.raises(SpecError, match=words) as caught:
        forecast(spoiled, fitted.bars)
    assert "\n" not in str(caught.value)


def test_a_forecast_loads_neither_tensorflow_nor_onnx() -> None:
    heavy = ("tensorflow", "keras", "onnx", "pandas")
    code = f"import sys, trainer.forecast; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_onnx_runtime_is_told_to_report_to_nobody_before_it_loads(tmp_path: Path) -> None:
    code = """
import os, onnx, trainer.forecast
from onnx import TensorProto, helper
value = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [1])
graph = helper.make_graph([helper.make_node("Identity", ["a"], ["b"])], "g", [value("a")], [value("b")])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
before = len(os.listdir("/proc/self/task"))
trainer.forecast.open_session(model.SerializeToString())
print(os.environ["ORT_DISABLE_TELEMETRY"], len(os.listdir("/proc/self/task")) - before)
"""
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "ORT_DISABLE_TELEMETRY")}
    environment.update(HOME=str(tmp_path), XDG_CACHE_HOME=str(tmp_path / "cache"), OPENBLAS_NUM_THREADS="1")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.split() == ["1", "0"]
    assert list(tmp_path.rglob("*onnxruntime*")) == []
