"""A feature set of the user's own is held to the rules of ours: nothing of the future, its own memory, one graph."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from atb.code import code_digest, code_digest_of
from atb.contract import keys
from atb.documents.result import Result
from atb.errors import ExportError, SpecError
from atb.storage import DirectoryStore, MemoryStore
from tests.processes import Atb
from tests.trainer.export.test_indicators import WANTED, features_in_a_graph
from tests.trainer.export.trained import make_bars
from tests.trainer.pipeline.market import tiny_spec, train, walk_close, write_bars
from trainer.features.sets import compute_features, feature_set
from trainer.features.training_data import load_training_data

HERE = "tests.trainer.features.own_sets"
COMMON = ("--preset", "fast", "--source", "sample", "--days", "60", "--as-of", "2026-02-01", "--sequence-length", "32")


def test_it_is_trained_exported_judged_promoted_and_run_without_its_code(atb: Atb, tmp_path: Path) -> None:
    place, name = ("--store", str(tmp_path)), f"{HERE}:MOMENTUM"
    done = atb("train", "model", "BTCUSDT", "--features", name, *COMMON, "--epochs", "1", "--run", "own", *place)
    assert done.code == 0, done.output
    key = keys.result("own", "BTCUSDT-fast")
    result = Result.from_bytes(DirectoryStore(tmp_path).get(key), key)
    assert result.features.columns == ("log_return", "momentum", "volume_grew")
    assert result.code.digest == code_digest_of(result.spec) != code_digest()
    for file in (result.export.model, result.export.from_bars):
        assert file is not None
        assert file.parity is not None
        assert file.parity.scaled <= file.parity.bound
    promoted = atb("models", "promote", "own", "BTCUSDT", "--accept-first", "--force", *place)
    assert promoted.code == 0, promoted.output
    done = atb("predict", "BTCUSDT", "--as-of", "2026-02-01", "--output", "json", *place)
    assert json.loads(done.output)["price"] > 0


def test_its_graph_gives_its_numbers() -> None:
    features = feature_set(f"{HERE}:MOMENTUM")
    bars = make_bars(features.memory + WANTED, 100.0)
    expected = compute_features(features, bars)[-WANTED:]
    assert np.allclose(features_in_a_graph(features.name, bars), expected, rtol=3e-7, atol=1e-12)


def test_a_column_of_the_file_goes_with_it() -> None:
    assert feature_set(f"{HERE}:MOMENTUM,+rate").columns[-1] == "rate"
    with pytest.raises(SpecError, match="has a column momentum already"):
        feature_set(f"{HERE}:MOMENTUM,+momentum")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("FORESEEING", "momentum at 2.* changes with bars that come after it: it would know the future"),
        ("SINCE_START", "momentum at 2.* changes with bars before the 20 that its memory states"),
        ("FORGETFUL", "memory must be at least the warm-up, 19 rows, but is 18"),
        ("PERCENT", r"its column log_return must be log\(close / previous close\)"),
        ("SHORT", "compute gave 3 columns for 4 names"),
        ("UNNAMED", "one column must be close or log_return"),
        ("NO_GRAPH", r"has no function write\(stretch\).*or train with --skip-onnx"),
        ("ABSENT", "can't be loaded from"),
    ],
)
def test_one_that_breaks_a_rule_is_refused_before_training(name: str, words: str, tmp_path: Path) -> None:
    write_bars(tmp_path, "WALK", walk_close(1))
    with pytest.raises(SpecError, match=words):
        load_training_data(tiny_spec(tmp_path, "WALK", features=f"{HERE}:{name}"), MemoryStore())


def test_one_without_a_graph_is_trained_without_onnx(tmp_path: Path) -> None:
    write_bars(tmp_path, "WALK", walk_close(1))
    spec = tiny_spec(tmp_path, "WALK", features=f"{HERE}:NO_GRAPH", onnx=False)
    assert load_training_data(spec, MemoryStore()).flat.shape[1] == 3


def test_a_graph_that_says_something_else_fails_the_export(tmp_path: Path) -> None:
    write_bars(tmp_path, "WALK", walk_close(1))
    spec = tiny_spec(tmp_path, "WALK", features=f"{HERE}:UNLIKE", epochs=1)
    with pytest.raises(ExportError, match=r"model_from_bars.onnx is not the trained net: its scaled output differs"):
        train(MemoryStore(), "r1", spec)
