"""Export of nets with random weights, held against Keras on real windows."""

from __future__ import annotations

import dataclasses
import functools
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest

from atb.contract import bundle
from atb.contract.features import FEATURE_SETS
from atb.contract.presets import MODEL_TYPES, ModelType
from atb.documents.export import ExportedFile, ExportSummary, Parity
from atb.errors import ExportError
from atb.storage import MemoryStore
from tests.trainer.export.trained import Fitted, make_bars, make_fitted
from trainer.bars.frame import join_bars
from trainer.bars.source import open_source
from trainer.export import export_model
from trainer.features.har import har_inputs
from trainer.features.scaling import TargetScaler
from trainer.forecast import open_session, run_from_bars

RESIDUALS = ("har", "none")
PRICES = (1e-8, 1e5)
Exported = Callable[[ModelType, str, float], tuple[Fitted, ExportSummary, Path]]


def in_turn(nets: Sequence[str], others: Sequence[str], prices: Sequence[float]) -> list[tuple[str, str, float]]:
    """Every net with every one of the others, at prices in turn: so each of either meets each price."""
    return [
        (net, other, prices[(number + place) % len(prices)])
        for number, net in enumerate(nets)
        for place, other in enumerate(others)
    ]


def export(fitted: Fitted, directory: Path) -> ExportSummary:
    return export_model(
        fitted.trained,
        fitted.predict,
        flat=fitted.flat,
        bars=fitted.bars,
        ends=fitted.ends,
        test_ends=fitted.ends[-len(fitted.ends) // 5 :],
        directory=directory,
    )


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """A net with random weights, how its export went, and where its files are: each made once."""

    @functools.cache
    def make(model_type: ModelType, features: str, price: float) -> tuple[Fitted, ExportSummary, Path]:
        fitted, folder = make_fitted(model_type, features, make_bars(600, price)), tmp_path_factory.mktemp("bundle")
        return fitted, export(fitted, folder), folder

    return make


def file_of(summary: ExportSummary, name: str) -> ExportedFile:
    return dict(summary.files())[name]


def parity_of(summary: ExportSummary, name: str) -> Parity:
    parity = file_of(summary, name).parity
    assert parity is not None
    return parity


@pytest.mark.parametrize(("model_type", "residual", "price"), in_turn(MODEL_TYPES, RESIDUALS, PRICES))
def test_volatility_and_its_bands_are_the_same_from_features_and_from_bars(
    model_type: ModelType, residual: str, price: float, tmp_path: Path
) -> None:
    horizon = 24 if price < 1 else 1
    bars = make_bars(600, price)
    fitted = make_fitted(model_type, "volatility", bars, horizon=horizon, target="volatility", residual=residual)
    summary = export(fitted, tmp_path)
    for file in (bundle.MODEL, bundle.MODEL_FROM_BARS):
        found = parity_of(summary, file)
        assert found.windows >= 256
        assert found.scaled < 1e-5
        assert max(found.volatility or 1, found.bands or 1) < 1e-6
        assert found.price is None


def test_where_nothing_of_the_net_is_kept_the_files_forecast_what_har_does(tmp_path: Path) -> None:
    fitted = make_fitted("fast", "volatility", make_bars(600, 1.0), target="volatility", residual="har")
    har = fitted.trained.har
    assert har is not None
    export(
        dataclasses.replace(fitted, trained=dataclasses.replace(fitted.trained, target=TargetScaler(0.0, 0.0))),
        tmp_path,
    )
    session = open_session((tmp_path / bundle.MODEL).read_bytes())
    ends = fitted.ends[-50:]
    windows = np.stack([fitted.flat[end - 23 : end + 1] for end in ends])
    feed = {bundle.FEATURES: windows, bundle.LAST_CLOSE: fitted.bars.close[ends].astype(np.float32)}
    (found,) = session.run([bundle.VOLATILITY], feed)
    inputs = har_inputs(fitted.trained.features.columns, fitted.flat, ends)
    assert np.log(found[:, 0]) == pytest.approx(har.forecast(inputs), abs=1e-5)


@pytest.mark.parametrize(("model_type", "features", "price"), in_turn(MODEL_TYPES, FEATURE_SETS, PRICES))
def test_every_net_and_set_gives_the_same_numbers_from_features_and_from_bars(
    model_type: ModelType, features: str, price: float, exported: Exported
) -> None:
    _, summary, folder = exported(model_type, features, price)
    for file in (bundle.MODEL, bundle.MODEL_FROM_BARS):
        found = parity_of(summary, file)
        assert found.windows >= 256
        assert found.scaled < 1e-5
        assert found.price is not None
        assert found.price < 1e-6
        assert found.bands is not None
        assert found.bands < 1e-6
        assert (file_of(summary, file).latency_ms or 0) > 0
        onnx.checker.check_model(onnx.load(folder / file), full_check=True)
    assert parity_of(summary, bundle.MODEL_FROM_BARS).whole_history == pytest.approx(0, abs=1e-5)


def test_a_net_as_it_is_built_for_two_gpus_in_mixed_precision_is_exported_in_float32(tmp_path: Path) -> None:
    fitted = make_fitted("balanced", "relative", make_bars(600, 1.0), as_on_gpus=True)
    summary = export(fitted, tmp_path)
    assert summary.model is not None
    assert summary.model.parity is not None
    model = onnx.load(tmp_path / bundle.MODEL)
    assert onnx.TensorProto.FLOAT16 not in {tensor.data_type for tensor in model.graph.initializer}


def test_the_result_says_what_the_files_are(exported: Exported) -> None:
    _, summary, folder = exported("fast", "classic", PRICES[0])
    model = onnx.load(folder / bundle.MODEL)
    assert (summary.opset, summary.ir_version) == (model.opset_import[0].version, model.ir_version)
    json.dumps(summary.model_dump(by_alias=True), allow_nan=False)
    assert not list(folder.glob(".*"))


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_the_graph_has_native_recurrent_nodes_and_no_loop_and_no_normalisation_of_batches(
    model_type: ModelType, exported: Exported
) -> None:
    _, _, folder = exported(model_type, "classic", PRICES[MODEL_TYPES.index(model_type) % 2])
    used = [node.op_type for node in onnx.load(folder / bundle.MODEL).graph.node]
    assert used.count("GRU" if model_type in ("fast", "balanced") else "LSTM") == 2
    assert not {"Loop", "Scan", "BatchNormalization"} & set(used)


_WITHOUT_TENSORFLOW = """
import sys
for name in ("tensorflow", "keras", "onnx", "tf2onnx"):
    sys.modules[name] = None
import numpy, onnxruntime
given = numpy.load("windows.npz")
plain = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
feed = {name: given[name] for name in ("features", "last_close")}
wanted = {value.name for value in plain.get_inputs()}
outputs = [plain.run(["scaled", "return", "price"], {name: feed[name] for name in feed if name in wanted})]
whole = onnxruntime.InferenceSession("model_from_bars.onnx", providers=["CPUExecutionProvider"])
outputs.append(whole.run(["scaled", "return", "price"], {"bars": given["bars"]}))
for scaled, log_return, price in outputs:
    assert abs(scaled[:, 0] - given["scaled"]).max() < 1e-5
    assert abs(log_return[:, 0] - given["log_return"]).max() < 1e-7
    assert abs(price[:, 0] / given["price"] - 1).max() < 1e-6
print("same numbers")
"""


@pytest.mark.parametrize(("model_type", "features", "price"), [("fast", "relative", 1e5), ("quality", "classic", 1e-8)])
def test_both_files_give_the_numbers_in_a_process_without_tensorflow(
    model_type: ModelType, features: str, price: float, exported: Exported
) -> None:
    fitted, _, folder = exported(model_type, features, price)
    trained, ends = fitted.trained, fitted.ends[-5:]
    windows = np.stack([fitted.flat[end + 1 - trained.spec.sequence_length : end + 1] for end in ends])
    scaled = fitted.predict(trained.scaler.transform(windows))
    np.savez(
        folder / "windows.npz",
        features=windows,
        last_close=fitted.bars.close[ends].astype(np.float32),
        bars=np.stack([fitted.bars.values[end + 1 - trained.bar_rows : end + 1] for end in ends]),
        scaled=scaled,
        log_return=trained.target.inverse_transform(scaled),
        price=trained.target.price(scaled, fitted.bars.close[ends]),
    )
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_TENSORFLOW], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.stdout == "same numbers\n", done.stderr


def test_exporting_loads_no_tensorflow() -> None:
    code = "import sys, trainer.export; print([name for name in ('tensorflow', 'keras') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("features", FEATURE_SETS)
def test_real_bars_are_exported(features: str, shared_bars: Path, tmp_path: Path) -> None:
    source = open_source(f"files:{shared_bars / 'perp'}", MemoryStore())
    raw = source.fetch("BTCUSDT", "1h", "um", 0, 4_000_000_000_000)
    real = raw.rows(len(raw) - 1500, len(raw))
    summary = export(make_fitted("balanced", features, real, sequence_length=90), tmp_path)
    for file in (bundle.MODEL, bundle.MODEL_FROM_BARS):
        assert parity_of(summary, file).enough_windows
        assert parity_of(summary, file).scaled < 1e-5
    assert parity_of(summary, bundle.MODEL_FROM_BARS).whole_history == pytest.approx(0, abs=1e-5)


def test_a_net_that_is_not_the_exported_one_is_refused_and_leaves_no_file(tmp_path: Path) -> None:
    fitted = make_fitted("fast", "classic", make_bars(600, 1.0))
    kernel, bias = fitted.trained.weights["scaled"]
    other = dataclasses.replace(
        fitted.trained, weights={**fitted.trained.weights, "scaled": [kernel, bias + np.float32(1e-4)]}
    )
    with pytest.raises(ExportError, match=r"model\.onnx is not the trained net: its scaled output differs by 0\.0001"):
        export(dataclasses.replace(fitted, trained=other), tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_a_net_that_gives_no_number_is_refused(tmp_path: Path) -> None:
    fitted = make_fitted("fast", "classic", make_bars(600, 1.0))
    kernel, bias = fitted.trained.weights["scaled"]
    broken = dataclasses.replace(
        fitted.trained, weights={**fitted.trained.weights, "scaled": [kernel, bias * np.float32(np.nan)]}
    )
    with pytest.raises(ExportError, match="not a number"):
        export(dataclasses.replace(fitted, trained=broken), tmp_path)


def test_few_windows_are_all_compared_and_the_result_says_so(tmp_path: Path) -> None:
    fitted = make_fitted("fast", "classic", make_bars(600, 1.0))
    summary = export(dataclasses.replace(fitted, ends=fitted.ends[-20:]), tmp_path)
    assert parity_of(summary, bundle.MODEL).windows == 20
    assert not parity_of(summary, bundle.MODEL).enough_windows


def test_no_window_is_refused(tmp_path: Path) -> None:
    fitted = make_fitted("fast", "classic", make_bars(600, 1.0))
    with pytest.raises(ExportError, match="no window"):
        export(dataclasses.replace(fitted, ends=fitted.ends[:0]), tmp_path)


def test_bars_without_the_history_leave_the_second_file_out_with_a_reason(tmp_path: Path) -> None:
    summary = export(make_fitted("fast", "classic", make_bars(300, 1.0)), tmp_path)
    assert "318 bars" in (file_of(summary, bundle.MODEL_FROM_BARS).skipped or "")
    assert not (tmp_path / bundle.MODEL_FROM_BARS).exists()
    schema = json.loads((tmp_path / bundle.FEATURE_SCHEMA).read_text())
    assert bundle.MODEL_FROM_BARS not in [entry["file"] for entry in schema["files"]]


def test_no_stretch_of_bars_crosses_a_gap(tmp_path: Path) -> None:
    whole = make_bars(900, 1.0)
    bars = join_bars([whole.rows(0, 400), whole.rows(450, 900)])
    summary = export(make_fitted("fast", "relative", bars), tmp_path)
    assert parity_of(summary, bundle.MODEL_FROM_BARS).windows == (400 - 317) + (450 - 317) - 2


def test_a_market_that_stood_still_longer_than_the_memory_is_exported_and_the_difference_recorded(
    tmp_path: Path,
) -> None:
    bars = make_bars(1000, 1.0)
    values = bars.values.copy()
    values[300:700, :4] = values[299, 3]
    values[300:700, 4] = 0
    summary = export(make_fitted("fast", "relative", dataclasses.replace(bars, values=values)), tmp_path)
    found = parity_of(summary, bundle.MODEL_FROM_BARS)
    assert found.scaled < 1e-5
    assert (found.whole_history or 0) > 1e-5


def test_extra_columns_are_a_second_input_of_the_model_from_bars(tmp_path: Path) -> None:
    bars = make_bars(600, 50.0, extra=("funding_rate", "basis"))
    fitted = make_fitted("fast", "relative,+basis,+funding_rate", bars)
    assert parity_of(export(fitted, tmp_path), bundle.MODEL_FROM_BARS).scaled < 1e-5
    session = open_session((tmp_path / bundle.MODEL_FROM_BARS).read_bytes())
    assert [value.name for value in session.get_inputs()] == ["bars", "extra"]
    last = bars.rows(600 - fitted.trained.bar_rows, 600)
    given = run_from_bars(session, [last], ["basis", "funding_rate"])["scaled"]
    swapped = run_from_bars(session, [last], ["funding_rate", "basis"])["scaled"]
    assert given != swapped


def test_the_forecast_may_lie_several_bars_ahead(tmp_path: Path) -> None:
    summary = export(make_fitted("adaptive", "relative", make_bars(600, 50.0), horizon=6), tmp_path)
    assert parity_of(summary, bundle.MODEL).scaled < 1e-5


@pytest.mark.parametrize("features", FEATURE_SETS)
def test_the_schema_names_the_inputs_and_outputs_that_the_files_have(features: str, exported: Exported) -> None:
    _, _, folder = exported("fast", features, PRICES[FEATURE_SETS.index(features) % 2])
    schema = json.loads((folder / bundle.FEATURE_SCHEMA).read_text())
    assert {entry["file"] for entry in schema["files"]} >= {bundle.MODEL, bundle.MODEL_FROM_BARS}
    for entry in schema["files"]:
        session = open_session((folder / entry["file"]).read_bytes())
        for values, described in ((session.get_inputs(), "inputs"), (session.get_outputs(), "outputs")):
            assert [(value.name, value.shape) for value in values] == [
                (value["name"], value["shape"]) for value in entry[described]
            ]
    assert "as in the source" not in [column["unit"] for column in schema["columns"]]


def test_the_scaler_file_brings_the_scalers_back(exported: Exported) -> None:
    fitted, _, folder = exported("fast", "classic", PRICES[0])
    written = json.loads((folder / bundle.SCALER).read_text())
    assert written["features"] == fitted.trained.scaler.to_dict()
    assert written["target"] == fitted.trained.target.to_dict()
    assert written["columns"] == list(fitted.trained.features.columns)


def test_the_same_net_gives_the_same_bytes(tmp_path: Path) -> None:
    fitted = make_fitted("balanced", "relative", make_bars(600, 1.0))
    for folder in ("first", "second"):
        export(fitted, tmp_path / folder)
    for file in (bundle.MODEL, bundle.MODEL_FROM_BARS, bundle.FEATURE_SCHEMA, bundle.SCALER):
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes()


@pytest.mark.parametrize("model_type", ["fast", "quality"])
def test_a_batch_of_none_is_answered_with_none(model_type: ModelType, exported: Exported) -> None:
    """ONNX Runtime's own recurrent kernels end the process instead."""
    _, _, folder = exported(model_type, "relative", PRICES[1 - MODEL_TYPES.index(model_type) % 2])
    for path in folder.glob("*.onnx"):
        session = open_session(path.read_bytes())
        feed = {
            given.name: np.zeros([0, *given.shape[1:]], np.float64 if "double" in given.type else np.float32)
            for given in session.get_inputs()
        }
        assert {len(answer) for answer in session.run(None, feed)} == {0}
