"""``atb-launch`` as it is typed; where something is trained, it is the real trainer on a small file of bars."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from atb.contract import keys
from atb.contract.exits import run_and_exit
from atb.contract.presets import PRESET_NAMES
from atb.documents.manifest import Manifest
from atb.documents.plan import Plan
from atb.documents.result import Result
from atb.storage import open_store
from launcher.cli import atb_launch
from tests.permissions import kept_out

AS_OF = "2026-01-31T00:00Z"
AS_OF_MS = 1_769_817_600_000
HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Done:
    code: object
    out: str
    err: str


Launch = Callable[..., Done]


@pytest.fixture
def launch(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Launch:
    """Runs the command in an empty directory, in this process, and returns its exit code and output."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for variable in ("ATB_STORE", "KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))

    def run(*arguments: str) -> Done:
        with pytest.raises(SystemExit) as end:
            run_and_exit(lambda: atb_launch(list(arguments), prog_name="atb-launch"))
        captured = capsys.readouterr()
        return Done(end.value.code, captured.out, captured.err)

    return run


def write_bars(folder: Path, symbol: str, rows: int) -> None:
    """An hourly CSV that ends at the as-of: a wave around a slow one."""
    folder.mkdir(exist_ok=True)
    lines = ["timestamp,open,high,low,close,volume"]
    before = 100.0
    for row in range(rows):
        close = 100 + 5 * math.sin(row / 9) + 2 * math.sin(row / 4)
        low, high = min(before, close) - 0.1, max(before, close) + 0.1
        opened = AS_OF_MS - (rows - row) * HOUR_MS
        lines.append(f"{opened},{before:.4f},{high:.4f},{low:.4f},{close:.4f},{10 + row % 7}")
        before = close
    (folder / f"{symbol}_1h.csv").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 2, "nothing to train: give --symbols"),
        (("--symbols", "BTCUSDT", "--preset", "turbo"), 2, "'turbo' is unknown; choose one of fast"),
        (("--symbols", "BTCUSDT", "--set", "nonsense=1"), 2, "nonsense: this option is unknown"),
        (("--symbols", "BTCUSDT", "--set", "epochs=0"), 2, "epochs 0: should be greater than or equal to 1"),
        (("--symbols", "BTC USDT!"), 2, "'USDT!' is not a symbol"),
        (("--symbols", "BTCUSDT", "--days", "10", "--set", "days=11"), 2, "--days 10 and --set days=11 disagree"),
        (("--symbols", "BTCUSDT", "--run", "a/b"), 2, "run 'a/b' is not a name"),
        (("--symbols", "BTCUSDT", "--store", "/proc/nowhere"), 75, "store /proc/nowhere can't hold"),
        (("--symbols", "BTCUSDT", "--store", "ftp://x"), 2, "neither a directory nor s3://"),
        (("--symbols", "BTCUSDT", "--no-wait"), 2, "--no-wait is for the kubernetes backend"),
        (("--resume", "r9"), 2, "there is no run r9"),
        (("--resume", "r9", "--symbols", "BTCUSDT"), 2, "--symbols can't be used with --resume"),
        (("status", "r9"), 2, "there is no run r9"),
        (("--symbols", "BTCUSDT", "status", "r9"), 2, "--symbols can't be used with the command status"),
        (("--symbols", "BTCUSDT", "--source", "https://me:secret1234@x.y"), 2, "looks like a secret"),
    ],
)
def test_a_mistake_is_one_line_with_its_exit_code(
    launch: Launch, arguments: tuple[str, ...], code: int, words: str
) -> None:
    extra = ("--backend", "local") if arguments and arguments[0] == "--symbols" and "status" not in arguments else ()
    done = launch(*arguments, *extra)
    assert done.code == code
    assert words in done.err.splitlines()[-1]
    assert "Traceback" not in done.err
    assert not Path("store").exists()


def test_a_store_that_refuses_writes_is_reported_before_anything_starts(launch: Launch, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    with kept_out(tmp_path / "store", mode=0o500):
        done = launch("--symbols", "BTCUSDT", "--backend", "local")
    assert done.code == 2
    assert done.err.splitlines()[-1].startswith("error: store ./store refused ")


def test_a_dry_run_says_what_would_run_and_writes_nothing(launch: Launch) -> None:
    done = launch("--symbols", "BTCUSDT,ETHUSDT,BTCUSDT", "--presets", "fast,legacy", "--dry-run", "--backend", "local")
    assert done.code == 0
    assert [line.split()[:2] for line in done.out.splitlines()[:4]] == [
        ["BTCUSDT-fast", "run"],
        ["BTCUSDT-legacy", "run"],
        ["ETHUSDT-fast", "run"],
        ["ETHUSDT-legacy", "run"],
    ]
    assert "would train 4, would skip 0" in done.out
    assert "named more than once, used once: BTCUSDT" in done.err
    assert not Path("store").exists()


def test_a_plan_costs_what_its_trainings_hold_and_writes_nothing(launch: Launch) -> None:
    done = launch("plan", "--symbols", "A,B", "--backend", "local", "--max-parallel", "1", "--cost", "--price", "7.5")
    assert done.code == 0
    words = [line.split()[0] for line in done.out.splitlines()]
    assert words == ["trainings", "cost", "at", "time", "basis", "not"]
    assert "at 7.5 an hour" in done.out
    assert "balanced: no earlier run like this one" in done.out
    assert not Path("store").exists()
    plain = launch("plan", "--symbols", "A,B", "--backend", "local")
    assert plain.out == launch("--symbols", "A,B", "--backend", "local", "--dry-run").out


def test_a_price_without_a_cost_and_a_plan_of_a_run_that_began_are_refused(launch: Launch) -> None:
    assert launch("plan", "--symbols", "A", "--price", "2").err.endswith("error: --price is for --cost\n")
    assert "--resume can't be used with the command plan" in launch("plan", "--resume", "r1", "--cost").err


def test_flags_and_settings_reach_every_spec(launch: Launch) -> None:
    flags = {"source": "sample", "market": "um", "timeframe": "4h", "features": "relative", "days": "20", "seed": "7"}
    arguments = [word for name, value in flags.items() for word in (f"--{name}", value)]
    done = launch(
        "--symbols", "A,B", "--preset", "quality", "--as-of", AS_OF, "--set", "epochs=9", "--set", "patience=3",
        "--output", "json", "--dry-run", *arguments,
    )  # fmt: skip
    plan = Plan.from_bytes(done.out, "stdout")
    for job in plan.jobs:
        spec = job.spec.model_dump(mode="json")
        assert [spec[name] for name in ("source", "market", "timeframe", "features", "seed")] == [
            "sample", "um", "4h", "relative", 7,
        ]  # fmt: skip
        assert (spec["epochs"], spec["patience"], spec["model_type"]) == (9, 3, "quality")
        assert job.spec.expected_bars == 20 * 6


def test_the_first_line_says_where_it_runs_and_why(launch: Launch, tmp_path: Path) -> None:
    done = launch("--symbols", "BTCUSDT", "--dry-run")
    assert done.err.splitlines()[0] == "backend local: no cluster is configured"


def test_an_empty_store_has_no_runs_and_says_how_to_start_one(launch: Launch) -> None:
    done = launch("list", "--store", "elsewhere")
    assert (done.code, done.out) == (
        0,
        "no runs in elsewhere yet; start one with: atb-launch --symbols BTCUSDT --store elsewhere\n",
    )


def test_the_store_may_be_named_before_the_command(launch: Launch) -> None:
    assert "no runs in one yet" in launch("--store", "one", "list").out
    assert "no runs in two yet" in launch("--store", "one", "list", "--store", "two").out


def test_a_run_from_its_plan_to_its_manifest(launch: Launch, tmp_path: Path, s3_url: str, s3_endpoint: str) -> None:
    """Three symbols: good bars, too few, none. Then the same again, collected again, looked at, and resumed.

    On S3; what is typed from the docs (``tests/docs``) uses a directory.
    """
    write_bars(tmp_path / "bars", "BTCUSDT", 1_300)
    write_bars(tmp_path / "bars", "SHORT", 40)
    place = ("--store", s3_url, "--endpoint-url", s3_endpoint)
    what: tuple[str, ...] = (
        "--preset",
        "fast",
        "--set",
        "epochs=1",
        "--days",
        "35",
        "--source",
        f"files:{tmp_path}/bars",
    )
    what = (*what, "--as-of", AS_OF, "--backend", "local", *place)
    first = launch("--symbols", "BTCUSDT,SHORT,GONE", *what, "--run", "first", "--output", "json")
    assert first.code == 10  # the one code that both failures share
    assert "Traceback" not in first.err
    assert "error" not in first.err
    manifest = Manifest.from_bytes(first.out, "stdout")
    assert [job.state for job in manifest.jobs] == ["done", "failed", "failed"]
    assert [job.category for job in manifest.jobs[1:]] == ["bad-data", "bad-data"]
    assert "some models are missing" in first.err
    assert "--resume" not in first.err, "the same bars would be as bad again"

    store = open_store(s3_url, s3_endpoint)
    kept = store.get(keys.manifest("first"))
    assert kept.decode() == first.out
    store.delete(keys.manifest("first"))
    assert launch("collect", "first", *place).code == 0
    assert store.get(keys.manifest("first")) == kept
    assert store.get(keys.report("first")).startswith(b"<!doctype html>")

    result = Result.from_bytes(store.get(keys.result("first", "BTCUSDT-fast")), "result")
    again = launch("--symbols", "BTCUSDT", *what, "--run", "second")
    assert again.code == 0
    assert "nothing to train; 1 skipped as unchanged" in again.err
    assert "skipped" in again.out
    assert next(file.key for file in result.files if file.path == "model.onnx") in again.out

    assert "SHORT-fast: failed (bad-data)" in launch("why", "first", "SHORT", *place).out
    assert "atb data check" in launch("why", "first", "SHORT", *place).out
    assert "attempt 1 of BTCUSDT-fast" in launch("logs", "first", "BTCUSDT", *place).out
    status = launch("status", "first", "--output", "json", *place)
    assert status.out == first.out
    assert [line.split()[0] for line in launch("list", *place).out.splitlines()] == ["second", "first"]

    resumed = launch("--resume", "first", *place)
    assert resumed.code == 10
    assert re.search(r"run first: 2 to train on this machine, .*; 1 done already", resumed.err)
    after = Manifest.from_bytes(store.get(keys.manifest("first")), "manifest")
    assert [job.attempts for job in after.jobs] == [1, 2, 2], "only what has no result runs again"
    used = launch("--symbols", "LTCUSDT", *what, "--run", "first")
    assert used.code == 2
    assert "run first is already there" in used.err


def test_help_names_every_preset_and_command(launch: Launch) -> None:
    done = launch("--help")
    assert done.code == 0
    for word in (*PRESET_NAMES, *atb_launch.commands):
        assert word in done.out


def test_python_m_is_the_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "launcher.cli", "--symbols", "A", "--dry-run", "--output", "json"]
    environment: dict[str, Any] = {**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert json.loads(done.stdout)["jobs"][0]["job"] == "A-balanced"


def test_hundreds_of_symbols_from_a_file(launch: Launch, tmp_path: Path) -> None:
    (tmp_path / "symbols.txt").write_text("\n".join(f"S{number}USDT" for number in range(300)))
    done = launch("--symbols", f"@{tmp_path}/symbols.txt", "--dry-run", "--backend", "local")
    assert "would train 300" in done.out
