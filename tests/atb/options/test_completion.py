"""What a shell completes, and what is suggested for an option that is misspelt."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from launcher.cli import atb_launch
from trainer.cli import atb


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for folder in (
        "runs/20260131-0600/jobs/BTCUSDT-fast", "runs/20260131-0600/jobs/ETHUSDT-fast", "runs/20260201-0600",
        "models/BTCUSDT", "bars/binance/spot/SOLUSDT",
    ):  # fmt: skip
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.setenv("ATB_STORE", str(tmp_path))
    return tmp_path


def complete(command: click.Command, name: str, *words: str) -> list[str]:
    *before, last = words
    found = ShellComplete(command, {}, name, "").get_completions(before, last)
    return [each.value for each in found]


def test_runs_jobs_symbols_and_presets_are_completed(store: Path) -> None:
    assert complete(atb_launch, "atb-launch", "status", "2026") == ["20260201-0600", "20260131-0600"]
    assert complete(atb_launch, "atb-launch", "--resume", "202602") == ["20260201-0600"]
    assert complete(atb_launch, "atb-launch", "why", "20260131-0600", "E") == ["ETHUSDT-fast"]
    assert complete(atb_launch, "atb-launch", "--symbols", "BTCUSDT,") == ["BTCUSDT,SOLUSDT"]
    assert complete(atb_launch, "atb-launch", "--preset", "fast,ba") == ["fast,balanced"]
    assert complete(atb, "atb", "predict", "B") == ["BTCUSDT"]
    assert complete(atb, "atb", "train", "model", "X", "--preset", "q") == ["quality"]
    assert "models" in complete(atb, "atb", "mo")


def test_a_store_that_is_named_before_is_the_one_that_is_read(store: Path, tmp_path: Path) -> None:
    (tmp_path / "other" / "runs" / "mine").mkdir(parents=True)
    assert complete(atb_launch, "atb-launch", "logs", "--store", str(tmp_path / "other"), "m") == ["mine"]


@pytest.mark.parametrize("url", ["s3://bucket/books", "/nowhere"])
def test_a_store_that_is_no_folder_here_completes_nothing(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATB_STORE", url)
    assert complete(atb_launch, "atb-launch", "status", "2") == []


@pytest.mark.parametrize(
    ("module", "words", "found"),
    [
        ("launcher.cli", "atb-launch status 2", "20260201-0600"),
        ("trainer.cli", "atb models show B", "BTCUSDT"),
    ],
)
def test_completing_loads_nothing_that_is_slow(store: Path, module: str, words: str, found: str) -> None:
    slow = "{'pydantic', 'boto3', 'rich', 'jinja2', 'kubernetes', 'numpy', 'asyncio', 'subprocess'}"
    code = f"import atexit, sys\nfrom {module} import main\n"
    code += f"atexit.register(lambda: print(sorted({slow} & set(sys.modules)), file=sys.stderr))\nmain()"
    variables = {
        f"_{words.split()[0].upper().replace('-', '_')}_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(words.count(" ")),
    }
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, **variables}, capture_output=True, text=True)
    assert f"plain,{found}" in done.stdout
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize(
    ("command", "words", "meant"),
    [
        (atb_launch, ["--sybmols", "X"], "--symbols"),
        (atb_launch, ["status", "--otuput", "json"], "--output"),
        (atb, ["train", "model", "X", "--epocs", "3"], "--epochs"),
    ],
)
def test_a_misspelt_option_gets_the_one_that_was_meant(command: click.Command, words: list[str], meant: str) -> None:
    message = CliRunner().invoke(command, words).stderr
    assert "No such option" in message
    assert f"Did you mean '{meant}'?" in message


DOCS = (Path(__file__).parents[3] / "docs" / "terminal.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize("name", ["atb", "atb-launch"])
def test_the_lines_of_the_docs_print_a_completion_script(shell: str, name: str) -> None:
    variable = f"_{name.upper().replace('-', '_')}_COMPLETE"
    assert f"{variable}={shell}_source {name}" in DOCS
    program = Path(sys.executable).with_name(name)
    done = subprocess.run([program], env={**os.environ, variable: f"{shell}_source"}, capture_output=True, text=True)
    assert name in done.stdout
    assert done.returncode == 0, done.stderr
