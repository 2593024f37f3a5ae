"""Models as other programs read them: each loaded by the real library where it is installed."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner

from atb.contract import keys
from atb.documents.result import FileEntry, Result
from atb.errors import SpecError, StoreError
from atb.registry.gate import Shown
from atb.registry.promote import evaluate_candidate
from atb.storage import DirectoryStore
from tests.atb.registry.candidates import SHOWN, make_result
from tests.trainer.export.test_export import export
from tests.trainer.export.trained import make_bars, make_fitted
from trainer.cli import atb
from trainer.forecast import open_session, run_from_bars
from trainer.serve.exports import FORMATS, ModelToExport, export_model, read_model

TRITON = os.environ.get("ATB_TEST_TRITON", "")
BARS = make_bars(700, 1e-6)
ROWS = 318
STRETCHES = [BARS.rows(at, at + ROWS) for at in (100, 300)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    export(make_fitted("fast", "relative", BARS), folder)
    return folder


@pytest.fixture(scope="module")
def store(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> DirectoryStore:
    """A store with a champion and other results of the same bundle."""
    store = DirectoryStore(tmp_path_factory.mktemp("store"))
    commit(store, folder, shown=SHOWN)
    commit(store, folder, run="r2", options={"threshold_bps": 0, "short": True})
    commit(store, folder, run="r3", options={"target": "volatility"})
    return store


def commit(store: DirectoryStore, folder: Path, run: str = "r1", shown: Shown | None = None, **parts: Any) -> None:
    files = []
    for path in folder.iterdir():
        key, data = keys.bundle(run, "BTCUSDT-fast", 1, path.name), path.read_bytes()
        store.put(key, data)
        files.append(FileEntry(path=path.name, key=key, size=len(data), sha256=hashlib.sha256(data).hexdigest()))
    result = make_result(run, files=tuple(files), **parts)
    store.put(keys.result(run, "BTCUSDT-fast"), result.to_bytes())
    if shown is not None:
        evaluate_candidate(store, result, shown, by="me", why="")


def model(store: DirectoryStore, run: str = "r1") -> ModelToExport:
    key = keys.result(run, "BTCUSDT-fast")
    return read_model(store, Result.from_bytes(store.get(key), key))


@pytest.fixture(scope="module")
def expected(store: DirectoryStore) -> dict[str, np.ndarray[Any, Any]]:
    return run_from_bars(open_session(model(store).onnx), STRETCHES, [])


@pytest.mark.parametrize("kind", FORMATS)
def test_the_command_says_where_it_is_and_what_to_do_with_it(kind: str, store: DirectoryStore, tmp_path: Path) -> None:
    words = ["models", "export", "BTCUSDT", str(tmp_path), "--as", kind, "--store", store.url]
    lines = CliRunner().invoke(atb, words, catch_exceptions=False).output.splitlines()
    target = tmp_path / "BTCUSDT-1h-fast"
    assert lines[0] == f"r1/BTCUSDT-fast is in {target}"
    assert {"triton": "tritonserver", "mlflow": "mlflow models serve", "freqtrade": "--strategy AtbBtcusdt1hFast"}[
        kind
    ] in lines[1]
    about = json.loads((target / "about.json").read_text())
    assert (about["rows"], about["run"], about["threshold_bps"]) == (ROWS, "r1", 12)
    again = CliRunner().invoke(atb, words, catch_exceptions=False)
    assert again.exit_code == 0
    assert {path.name for path in tmp_path.iterdir()} == {target.name}


def test_a_folder_that_no_export_wrote_is_left_alone(store: DirectoryStore, tmp_path: Path) -> None:
    (tmp_path / "BTCUSDT-1h-fast").mkdir()
    (tmp_path / "BTCUSDT-1h-fast" / "mine").write_text("")
    with pytest.raises(SpecError, match=r"do not belong to an exported model \(mine\); name a new folder"):
        export_model(model(store), "triton", tmp_path)
    with pytest.raises(SpecError, match="can't be written: Not a directory"):
        export_model(model(store), "triton", tmp_path / "BTCUSDT-1h-fast" / "mine")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda target: (target / "config.pbtxt").write_text("my own settings"),
        lambda target: (target / "notes.md").write_text("mine"),
        lambda target: shutil.copytree(target / "1", target / "2"),
        lambda target: (target / "empty").mkdir(),
        lambda target: (target / "link").symlink_to(target),
        lambda target: (target / "about.json").write_text("{}"),
        lambda target: (target / "about.json").write_text('{"files": [1]}'),
    ],
    ids=["a changed file", "a note", "a version", "a folder", "a link", "a foreign about.json", "a list of no files"],
)
def test_an_export_is_replaced_only_where_all_of_it_is_as_it_was_written(
    spoil: Callable[[Path], object], store: DirectoryStore, tmp_path: Path
) -> None:
    target = export_model(model(store), "triton", tmp_path)
    (target / "__pycache__").mkdir()
    (target / "__pycache__" / "x.pyc").write_bytes(b"")
    assert export_model(model(store), "triton", tmp_path) == target
    spoil(target)
    before = {path: path.read_bytes() for path in target.rglob("*") if path.is_file()}
    with pytest.raises(SpecError, match="holds files that do not belong to an exported model"):
        export_model(model(store), "triton", tmp_path)
    assert {path: path.read_bytes() for path in target.rglob("*") if path.is_file()} == before


def test_a_damaged_model_is_not_exported(folder: Path, tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    commit(store, folder)
    store.put(keys.bundle("r1", "BTCUSDT-fast", 1, "model_from_bars.onnx"), b"damaged")
    with pytest.raises(StoreError, match="sha256"):
        model(store)


def test_the_triton_config_has_the_models_inputs_and_outputs(store: DirectoryStore, tmp_path: Path) -> None:
    target = export_model(model(store), "triton", tmp_path)
    session = open_session((target / "1" / "model.onnx").read_bytes())
    types_ = {"tensor(float)": "TYPE_FP32", "tensor(double)": "TYPE_FP64", "tensor(int64)": "TYPE_INT64"}
    text = (target / "config.pbtxt").read_text()
    for kind, values in (("input", session.get_inputs()), ("output", session.get_outputs())):
        assert text.count(f"\n{kind} {{") == len(values)
        for value in values:
            dims = "".join(f"  dims: {size}\n" for size in value.shape[1:])
            assert f'{kind} {{\n  name: "{value.name}"\n  data_type: {types_[value.type]}\n{dims}}}\n' in text


def test_triton_s_own_schema_takes_the_configuration(store: DirectoryStore, tmp_path: Path) -> None:
    pytest.importorskip("tritonclient.grpc")
    from google.protobuf import text_format
    from tritonclient.grpc import model_config_pb2

    target = export_model(model(store), "triton", tmp_path)
    config = text_format.Parse((target / "config.pbtxt").read_text(), model_config_pb2.ModelConfig())
    assert (config.name, config.backend, config.max_batch_size) == (target.name, "onnxruntime", 64)
    assert [(each.name, list(each.dims)) for each in config.input] == [("bars", [ROWS, 5])]
    assert [each.name for each in config.output] == ["scaled", "return", "price", "lower", "upper"]
    assert config.output[3].data_type == model_config_pb2.TYPE_FP64
    assert config.parameters["levels"].string_value == "[0.5, 0.8, 0.95]"


@pytest.mark.skipif(not TRITON, reason="ATB_TEST_TRITON does not name a tritonserver; see make test-exports")
@pytest.mark.parametrize("valid", [True, False])
def test_triton_itself_reads_the_repository(valid: bool, store: DirectoryStore, tmp_path: Path) -> None:
    """As far as its wheel can: that has no backend for ONNX, which is the one thing that it may say is missing."""
    target = export_model(model(store), "triton", tmp_path / "repository")
    if not valid:
        (target / "config.pbtxt").write_text("name: 1")
    words = [TRITON, "--model-repository", str(target.parent), "--backend-directory", str(tmp_path)]
    words += ["--allow-http", "false", "--allow-grpc", "false", "--allow-metrics", "false"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    output = done.stdout + done.stderr
    assert ("unable to find backend library for backend 'onnxruntime'" in output) is valid
    assert ("failed to read text proto" in output) is not valid


def test_mlflow_s_signature_is_the_model_s(store: DirectoryStore, tmp_path: Path) -> None:
    found = yaml.safe_load((export_model(model(store), "mlflow", tmp_path) / "MLmodel").read_text())
    (bars,) = json.loads(found["signature"]["inputs"])
    assert bars == {
        "name": "bars",
        "type": "tensor",
        "tensor-spec": {"dtype": "float64", "shape": [-1, ROWS, 5]},
    }
    assert found["metadata"]["symbol"] == "BTCUSDT"


def test_mlflow_loads_the_model_and_forecasts_the_same(
    store: DirectoryStore, tmp_path: Path, expected: dict[str, np.ndarray[Any, Any]]
) -> None:
    mlflow = pytest.importorskip("mlflow.pyfunc")
    loaded = mlflow.load_model(str(export_model(model(store), "mlflow", tmp_path)))
    answers = loaded.predict({"bars": np.stack([stretch.values for stretch in STRETCHES])})
    for name, values in expected.items():
        np.testing.assert_array_equal(answers[name], values)


@pytest.fixture
def freqtrade(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real freqtrade where it is installed; elsewhere an empty base class, the one thing that is imported."""
    if importlib.util.find_spec("freqtrade") is None:
        strategy = types.ModuleType("freqtrade.strategy")
        strategy.IStrategy = type("IStrategy", (), {"__init__": lambda self, config: None})  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "freqtrade", types.ModuleType("freqtrade"))
        monkeypatch.setitem(sys.modules, "freqtrade.strategy", strategy)


def load_strategy(target: Path) -> Any:
    """The strategy of an exported folder."""
    (path,) = target.glob("*.py")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, path.stem)({})


def candles() -> pd.DataFrame:
    frame = pd.DataFrame(BARS.values, columns=["open", "high", "low", "close", "volume"])
    frame.insert(0, "date", pd.to_datetime(BARS.time, unit="ms", utc=True))
    return frame


@pytest.mark.usefixtures("freqtrade")
def test_the_strategy_forecasts_what_the_model_does(
    store: DirectoryStore, tmp_path: Path, expected: dict[str, np.ndarray[Any, Any]]
) -> None:
    strategy = load_strategy(export_model(model(store), "freqtrade", tmp_path))
    found = strategy.populate_indicators(candles(), {"pair": "BTC/USDT"})
    assert found["atb_return"].isna().sum() == ROWS - 1
    for stretch, row in zip(STRETCHES, expected["return"], strict=True):
        at = found["date"] == pd.to_datetime(stretch.time[-1], unit="ms", utc=True)
        assert float(found.loc[at, "atb_return"].iloc[0]) == pytest.approx(np.expm1(float(row[0])), rel=1e-6)
    other = strategy.populate_indicators(candles(), {"pair": "ETH/USDT"})
    assert other["atb_return"].isna().all()


@pytest.mark.usefixtures("freqtrade")
def test_the_strategy_enters_and_exits_as_the_backtest_trades(store: DirectoryStore, tmp_path: Path) -> None:
    strategy = load_strategy(export_model(model(store, "r2"), "freqtrade", tmp_path))
    found = strategy.populate_indicators(candles(), {"pair": "BTC/USDT:USDT"})
    found = strategy.populate_exit_trend(strategy.populate_entry_trend(found, {}), {})
    known = found.dropna(subset="atb_return")
    assert ((known["enter_long"] == 1) == (known["atb_return"] > 0)).all()
    assert ((known["enter_short"] == 1) == (known["atb_return"] < 0)).all()
    assert ((known["exit_long"] == 1) == (known["atb_return"] <= 0)).all()
    early = found[found["atb_return"].isna()]
    assert early[["enter_long", "exit_long", "enter_short", "exit_short"]].isna().all(axis=None)


def test_freqtrade_s_own_loader_takes_the_strategy(store: DirectoryStore, tmp_path: Path) -> None:
    resolvers = pytest.importorskip("freqtrade.resolvers")
    from freqtrade.configuration import Configuration
    from freqtrade.enums import RunMode

    target = export_model(model(store), "freqtrade", tmp_path)
    (tmp_path / "user_data").mkdir()
    words = {"strategy": "AtbBtcusdt1hFast", "strategy_path": str(target), "user_data_dir": str(tmp_path / "user_data")}
    config = Configuration({"config": [], **words}, RunMode.UTIL_NO_EXCHANGE).get_config()
    strategy, pair = resolvers.StrategyResolver.load_strategy(config), {"pair": "BTC/USDT"}
    found = strategy.ft_advise_signals(strategy.advise_indicators(candles(), pair), pair)
    assert (strategy.timeframe, strategy.startup_candle_count, strategy.can_short) == ("1h", ROWS, False)
    assert found["atb_return"].isna().sum() == ROWS - 1
    known = found.dropna(subset="atb_return")
    assert ((known["enter_long"] == 1) == (known["atb_return"] > 0.0012)).all()


def test_a_strategy_needs_a_direction(store: DirectoryStore, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="which has no direction to trade"):
        export_model(model(store, "r3"), "freqtrade", tmp_path)


@pytest.mark.usefixtures("freqtrade")
def test_words_of_a_result_are_no_code(folder: Path, tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path / "store")
    commit(store, folder, options={"source": 'files:"""\nraise SystemExit\n"""'})
    (path,) = export_model(model(store), "freqtrade", tmp_path).glob("*.py")
    module = importlib.util.module_from_spec(importlib.util.spec_from_file_location("s", path))  # type: ignore[arg-type]
    exec(path.read_text(), vars(module))
    assert module.ABOUT["source"] == 'files:"""\nraise SystemExit\n"""'
