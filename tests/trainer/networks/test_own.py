"""A net of the user's own is trained, exported by tf2onnx under the same bound, judged, promoted and run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from atb.code import code_digest, code_digest_of
from atb.contract import bundle, keys
from atb.contract.spec import resolve_spec
from atb.documents.result import Result
from atb.errors import SpecError
from atb.registry.champions import ModelKey
from atb.registry.pull import bundle_file
from atb.registry.warm import pin_warm_start
from atb.storage import DirectoryStore
from tests.processes import Atb
from trainer.networks.build import load_network
from trainer.pipeline.learn import load_warm_start

HERE = "tests.trainer.networks.own_nets"
COMMON = ("--preset", "fast", "--source", "sample", "--days", "60", "--as-of", "2026-02-01", "--sequence-length", "32")


def test_a_small_attention_block_goes_all_the_way(atb: Atb, tmp_path: Path) -> None:
    place = ("--store", str(tmp_path))
    name = f"{HERE}:attention"
    done = atb("train", "model", "BTCUSDT", "--net", name, *COMMON, "--epochs", "2", "--run", "own", *place)
    assert done.code == 0, done.output
    key = keys.result("own", "BTCUSDT-fast")
    result = Result.from_bytes(DirectoryStore(tmp_path).get(key), key)
    assert result.spec.net == name
    assert result.code.digest not in ("", code_digest())
    assert result.export.model
    assert result.export.model.parity
    assert result.export.model.parity.scaled <= result.export.model.parity.bound == 1e-5
    assert result.export.from_bars
    assert result.export.from_bars.parity
    assert result.gate, "it was judged"
    promoted = atb("models", "promote", "own", "BTCUSDT", "--accept-first", "--force", *place)
    assert promoted.code == 0, promoted.output
    again_as_it_was(tmp_path, result)
    done = atb("predict", "BTCUSDT", "--as-of", "2026-02-01", "--output", "json", *place)
    assert json.loads(done.output)["price"] > 0


def again_as_it_was(folder: Path, result: Result) -> None:
    """A training that starts from the run's net starts with its weights; another net's are refused in one line."""
    spec, store = result.spec, DirectoryStore(folder)
    pinned = {"warm_start": pin_warm_start(store, "own", ModelKey.of(spec))}
    later, windows = spec.as_of, np.random.default_rng(1).normal(size=(4, 32, 9)).astype(np.float32)
    found = load_warm_start(spec.model_copy(update=pinned), store, 9, later)
    saved = load_network(folder / bundle_file(result.files, bundle.MODEL_KERAS, result.run).key)
    assert found is not None
    assert np.array_equal(np.asarray(found(windows)), np.asarray(saved(windows)))
    other = spec.model_copy(update={**pinned, "net": f"{HERE}:plain"})
    with pytest.raises(SpecError, match=r"--warm-start has other layers than --net .*:plain"):
        load_warm_start(other, store, 9, later)


def test_its_precision_is_its_own() -> None:
    with pytest.raises(SpecError, match="your own net sets the precision of its layers itself"):
        resolve_spec("BTCUSDT", "fast", {"net": f"{HERE}:attention", "mixed_precision": True})


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (f"{HERE}:two_outputs", "is a net from [(None, 32, 9)] to [(None, 2)]; it must be one from"),
        (f"{HERE}:no_net", "returns a str, not a keras.Model"),
        (f"{HERE}:absent", "can't be loaded from"),
        ("no.such.module:net", "can't be loaded from no.such.module:net: No module named 'no'"),
        ("absent", "'absent' is not an installed entry point of atb.nets"),
        ("./net.py", "'./net.py' is neither the name of an entry point nor module:function"),
    ],
)
def test_what_is_no_net_is_one_line(atb: Atb, tmp_path: Path, name: str, words: str) -> None:
    done = atb("train", "model", "BTCUSDT", "--net", name, *COMMON, "--epochs", "1", "--store", str(tmp_path))
    assert done.code == 2, done.output
    assert words in done.lines[-1]
    assert "Traceback" not in done.output


def test_another_source_of_a_net_is_another_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    spec = resolve_spec("BTCUSDT", "fast", {"net": "my_nets:build"})
    assert spec.digest != resolve_spec("BTCUSDT", "fast", {"as_of": spec.as_of}).digest
    (tmp_path / "my_nets.py").write_text("def build(steps, features, seed): ...\n")
    first = code_digest_of(spec)
    (tmp_path / "my_nets.py").write_text("def build(steps, features, seed): return None\n")
    assert len({first, code_digest_of(spec), code_digest()}) == 3
