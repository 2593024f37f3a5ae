"""``atb train``, through the command line: every option reaches the spec, every mistake is one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from atb.contract import keys
from atb.contract.spec import OPTION_NAMES, Spec
from atb.storage import DirectoryStore
from tests.processes import Atb, Done, job_arguments
from tests.trainer.pipeline.market import ROWS, START, sine_close, tiny_spec, write_bars
from trainer.cli.train import describe_spec

CHAMPION = f"runs/r1/bundles/BTCUSDT-fast/1/model.keras@{'0' * 64}"
OVERRIDES: dict[str, tuple[tuple[str, ...], str]] = {
    "net": (("--net", "tests.trainer.networks.own_nets:attention"), "tests.trainer.networks.own_nets:attention"),
    "source": (("--source", "sample"), "sample"),
    "market": (("--market", "um"), "um"),
    "timeframe": (("--timeframe", "4h"), "4h"),
    "as_of": (("--as-of", "2026-01-31T06:30Z"), "2026-01-31T04:00Z"),
    "days": (("--days", "30"), "start 2026-01-01T04:00Z"),
    "model_type": (("--model-type", "quality"), "quality"),
    "epochs": (("--epochs", "7"), "7"),
    "batch_size": (("--batch-size", "33"), "33"),
    "sequence_length": (("--sequence-length", "44"), "44"),
    "patience": (("--patience", "5"), "5"),
    "learning_rate": (("--learning-rate", "0.0123"), "0.0123"),
    "features": (("--features", "relative"), "relative"),
    "horizon": (("--horizon", "3"), "3"),
    "seed": (("--seed", "7"), "7"),
    "on_gap": (("--on-gap", "fill"), "fill"),
    "mixed_precision": (("--mixed-precision",), "yes"),
    "onnx": (("--skip-onnx",), "no"),
    "augment": (("--augment", "scale,jitter"), "jitter,scale"),
    "warm_start": (("--warm-start", CHAMPION), CHAMPION),
    "folds": (("--folds", "2"), "2"),
    "fee_bps": (("--fee-bps", "3.5"), "3.5"),
    "slippage_bps": (("--slippage-bps", "1.5"), "1.5"),
    "threshold_bps": (("--threshold-bps", "9.5"), "9.5"),
    "short": (("--short",), "yes"),
    "target": (("--target", "volatility"), "volatility"),
    "residual": (("--residual", "none"), "none"),
    "bands": (("--bands", ".9, 0.50"), "0.5,0.9"),
}
WINDOW = ("--start", "2026-01-01", "--end", "2026-01-31")
"""The other two ways to say the window; they don't go with ``--days`` and ``--as-of``."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good bars, and bars with each fault that a file can have."""
    folder: Path = tmp_path_factory.mktemp("market")
    write_bars(folder, "WAVE", sine_close())
    write_bars(folder, "SHORT", sine_close()[:40])
    holed = sine_close()
    holed[100:200] = np.nan
    write_bars(folder, "HOLED", holed)
    (folder / "BROKEN_1h.parquet").write_bytes(b"PAR1 this is no Parquet file")
    (folder / "WORDS_1h.csv").write_text("once upon a time\nthere was a price\n")
    return folder


def model(atb: Atb, store: Path, *options: str, symbol: str = "BTCUSDT") -> Done:
    """``atb train model`` up to the point where it looks for a GPU."""
    return atb("train", "model", symbol, "--store", str(store), "--accelerator", "gpu", *options)


@pytest.fixture(scope="module")
def overridden(atb: Atb, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What is printed of two specs that give every option beside a preset: one has a net of the user's own, which sets
    its precision itself."""
    printed = ""
    for left_out in ("net", "mixed_precision"):
        flags = [word for name, (words, _) in OVERRIDES.items() if name != left_out for word in words]
        printed += model(atb, tmp_path_factory.mktemp("store"), "--preset", "legacy", *flags).output
    return printed


def test_every_option_has_its_flag_here() -> None:
    assert set(OVERRIDES) | {"start", "end"} == set(OPTION_NAMES)


@pytest.mark.parametrize("name", OVERRIDES)
def test_a_flag_beats_the_preset(name: str, overridden: str) -> None:
    shown = OVERRIDES[name][1]
    words = shown if name == "days" else f"{name.replace('_', '-')} {shown}"
    assert any(f"{words}," in f"{line}," for line in block(overridden))


def test_the_window_can_be_given_by_its_ends(atb: Atb, tmp_path: Path) -> None:
    output = model(atb, tmp_path, *WINDOW).output
    assert "start 2026-01-01T00:00Z, as-of 2026-01-31T00:00Z" in output


def test_the_block_is_short_and_names_every_field(folder: Path) -> None:
    lines = describe_spec(tiny_spec(folder, "WAVE"))
    assert len(lines) <= 6
    named = [part.partition(" ")[0].replace("-", "_") for line in lines for part in line[8:].split(", ")]
    assert sorted(named) == sorted(set(Spec.model_fields) - {"schema_version"})


def test_a_training_prints_its_spec_its_stages_and_where_the_result_is(atb: Atb, folder: Path, tmp_path: Path) -> None:
    window = ("--start", f"{START:%Y-%m-%d}", "--end", f"{START + timedelta(hours=ROWS):%Y-%m-%dT%H:%MZ}")
    options = ("--preset", "fast", "--source", f"files:{folder}", "--epochs", "1", "--sequence-length", "16")
    done = atb("train", "model", "WAVE", *options, *window, "--run", "r1", "--store", str(tmp_path))
    assert done.code == 0, done.output
    for words in ("preset fast", "training ", "total ", "skill ", "persistence ", "gate ", "epoch 1/1 loss"):
        assert words in done.output, words
    assert f"{tmp_path}/{keys.result('r1', 'WAVE-fast')}" in done.lines
    for noise in ("oneDNN", "WARNING", "absl", "cuda", "\x1b", "\r"):
        assert noise not in done.output, noise


MISTAKES: dict[str, tuple[int, str, Callable[[Path], list[str]]]] = {
    "an unknown preset": (2, r"preset 'fats' is unknown; choose one of fast", lambda _: ["--preset", "fats"]),
    "a run that is a path": (2, "run 'a/b' is not a name", lambda _: ["--source", "sample", "--run", "a/b"]),
    "no epochs": (2, "epochs 0: should be greater than or equal to 1", lambda _: ["--epochs", "0"]),
    "epochs in words": (2, "epochs many: should be a valid integer", lambda _: ["--epochs", "many"]),
    "an unknown net": (2, "model type 'deep' is unknown", lambda _: ["--model-type", "deep"]),
    "unknown features": (2, "feature", lambda _: ["--source", "sample", "--features", "modern"]),
    "an unknown source": (2, "nowhere", lambda _: ["--source", "nowhere"]),
    "an unknown timeframe": (2, "timeframe '1y'", lambda _: ["--timeframe", "1y"]),
    "a window that ends before it starts": (
        2,
        "the window is empty",
        lambda _: ["--start", "2026-02-01", "--end", "2026-01-01"],
    ),
    "no folder": (10, "there is no directory", lambda folder: ["--source", f"files:{folder}/nowhere"]),
    "a GPU where there is none": (
        21,
        "looked for 1 GPU and found 0: CUDA_VISIBLE_DEVICES is",
        lambda folder: ["--source", f"files:{folder}", "--accelerator", "gpu"],
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_that_names_it(mistake: str, atb: Atb, folder: Path, tmp_path: Path) -> None:
    code, words, options = MISTAKES[mistake]
    done = atb("train", "model", "BTCUSDT", "--store", str(tmp_path), *options(folder))
    assert_fails(done, code, words, DirectoryStore(tmp_path))


@pytest.mark.parametrize(
    ("symbol", "words"),
    [
        ("NOSUCH", "NOSUCH: no file NOSUCH_1h.parquet, .feather, .csv, .csv.gz or .zip in"),
        ("BROKEN", "BROKEN_1h.parquet can't be read: "),
        ("WORDS", "WORDS_1h.csv"),
        ("HOLED", "of 900 bars (88.8%) and 99% are needed"),
    ],
)
@pytest.mark.parametrize("style", ["text", "json"])
def test_unusable_bars_are_reported_in_one_line(
    symbol: str, words: str, style: str, atb: Atb, folder: Path, tmp_path: Path
) -> None:
    spec = tiny_spec(folder, symbol)
    done = atb(*job_arguments(spec, "r1", str(tmp_path), "--log-format", style))
    store = DirectoryStore(tmp_path)
    assert_fails(done, 10, words, store, style)
    report = json.loads(store.get(keys.attempt("r1", f"{symbol}-fast", 1, "exit.json")))
    assert (report["code"], report["category"], report["stage"]) == (10, "bad-data", "data loading")
    assert words in report["message"]


def test_a_file_that_ends_before_the_cut_may_be_longer_later(atb: Atb, folder: Path, tmp_path: Path) -> None:
    done = atb(*job_arguments(tiny_spec(folder, "SHORT"), "r1", str(tmp_path)))
    assert_fails(done, 11, "SHORT 1h: bars are there until 2026-01-02T16:00Z", DirectoryStore(tmp_path), "text")


def test_an_invalid_spec_is_reported(atb: Atb, tmp_path: Path) -> None:
    done = atb("train", "job", '{"symbol": "BTCUSDT"}', "--store", str(tmp_path))
    assert_fails(done, 2, "SPEC is not a spec document", DirectoryStore(tmp_path))


def test_an_unknown_flag_is_reported_with_the_nearest_one(atb: Atb, tmp_path: Path) -> None:
    done = atb("train", "model", "BTCUSDT", "--epoch", "3", "--store", str(tmp_path))
    assert done.code == 2
    assert done.lines[-1].startswith("Error: No such option '--epoch'")
    assert "--epochs" in done.lines[-1]


def test_a_store_that_is_a_file_is_reported(atb: Atb, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = atb(*job_arguments(tiny_spec(folder, "WAVE"), "r1", f"{tmp_path}/file"))
    assert_fails(done, 2, "is no directory; name one", DirectoryStore(tmp_path / "other"))


def assert_fails(done: Done, code: int, words: str, store: DirectoryStore, style: str = "text") -> None:
    """The code, one line with the words as the last of the output, no traceback, and nothing like a result."""
    assert done.code == code, done.output
    if style == "json":
        events = [json.loads(line) for line in done.lines]
        errors = [event["message"] for event in events if event["level"] == "error"]
        last = events[-1]["message"]
    else:
        errors = [line.removeprefix("error: ") for line in done.lines if line.startswith("error: ")]
        last = done.lines[-1].removeprefix("error: ")
    assert errors == [last]
    assert words in last
    assert "Traceback" not in done.output
    assert "NaN" not in done.output
    assert not [entry.key for entry in store.list("") if entry.key.endswith("result.json") or "/bundles/" in entry.key]


def block(output: str) -> list[str]:
    """The lines of the spec block."""
    return [line for line in output.splitlines() if line[:8].strip() in ("bars", "goal", "net", "fit", "after")]
