"""Every command that a page prints in a ``sh`` block is run as printed, or is of a kind that is tried elsewhere."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest

from atb.contract import timeframe as tf
from launcher.cli import atb_launch
from tests.exchange.archive_files import csv_text, zip_bytes
from tests.exchange.server import Exchange, serve_exchange
from tools.pages import ROOT, commands, pages
from trainer.bars.frame import Bars
from trainer.bars.sample import SampleSource
from trainer.cli import atb

TYPED = ("README.md", "docs/start.md", "docs/data.md", "docs/models.md", "docs/pages.md", "docs/terminal.md")
"""Whose commands of ours are typed here, in this order, into one shell's folder."""
ELSEWHERE = ("docs/operate.md", "helm/atb/README.md", "k8s/README.md")
"""Typed by tests of their own, or parsed there."""
ENDLESS = ("--follow",)
LINES = {page.relative_to(ROOT).as_posix(): commands(page) for page in pages()}
TYPED_LINES = [(page, line) for page in TYPED for line in LINES[page] if line.startswith("atb")]
FOR_CLUSTER = [(page, line) for page, line in TYPED_LINES if {"--image", "--env-from-secret"} & set(line.split())]
"""Typed as a dry run: their store and their image are nowhere."""
OURS = [each for each in TYPED_LINES if each not in FOR_CLUSTER and not each[1].startswith("atb compare")]
"""``tests/trainer/cli/test_compare.py`` types a comparison: it trains in processes that import TensorFlow each."""
TINY = {"ATB_EPOCHS": "1", "ATB_DAYS": "30", "ATB_SEQUENCE_LENGTH": "16", "ATB_BATCH_SIZE": "64"}
"""So that a command takes seconds. What a line itself says beats it."""
AHEAD = timedelta(seconds=30)
"""By how much the exchange's clock is ahead: it has a bar that closes while a command runs."""

pytestmark = pytest.mark.timeout(900)


@dataclass(frozen=True)
class Outcome:
    code: int
    output: str


class Shell:
    """Types the commands of OURS in their order, each once."""

    def __init__(self, folder: Path, environment: dict[str, str], exchange: Exchange) -> None:
        self._folder, self._environment, self._exchange = folder, environment, exchange
        self._typed: dict[tuple[str, str], Outcome] = {}

    def outcome(self, page: str, line: str) -> Outcome:
        """What the command came to, those before it typed first."""
        for command in OURS[len(self._typed) : OURS.index((page, line)) + 1]:
            if command == ("docs/models.md", LINES["docs/models.md"][0]):
                self._serve_a_return()
            self._exchange.now_ms = tf.epoch_ms(datetime.now(UTC) + AHEAD)
            self._typed[command] = type_line(command[1], self._folder, self._environment)
        return self._typed[page, line]

    def _serve_a_return(self) -> None:
        """What docs/models.md takes for granted: one champion for BTCUSDT, of the return."""
        line = "rm -r store/models && atb models promote $(ls store/runs | head -1) BTCUSDT --force"
        done = type_line(line, self._folder, self._environment)
        assert done.code == 0, done.output


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A shell, with an exchange that has 40 days of two markets, and the files that docs/start.md downloads."""
    folder, now = tmp_path_factory.mktemp("typed"), datetime.now(UTC)
    later = now + timedelta(hours=3)  # the page goes on when an hour strikes
    bars = {("spot", symbol): sample(symbol, now - timedelta(days=40), later) for symbol in ("BTCUSDT", "ETHUSDT")}
    (folder / "bars").mkdir()
    for month in range(3, 9):
        name = f"BTCUSDT-1h-2025-{month:02}.zip"
        of_month = sample("BTCUSDT", datetime(2025, month, 1, tzinfo=UTC), datetime(2025, month + 1, 1, tzinfo=UTC))
        (folder / "bars" / name).write_bytes(zip_bytes(name, csv_text(of_month, header=False, microseconds=True)))
    with serve_exchange(bars, now) as exchange:
        yield Shell(
            folder,
            {
                **{name: value for name, value in os.environ.items() if not name.startswith("ATB_")},
                **TINY,
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
                "HOME": str(folder),
                "ATB_BINANCE_ARCHIVE_URL": exchange.url,
                "ATB_BINANCE_REST_URL": exchange.url,
            },
            exchange,
        )


def sample(symbol: str, start: datetime, stop: datetime) -> Bars:
    return SampleSource().fetch(symbol, "1h", "spot", tf.epoch_ms(start), tf.epoch_ms(stop))


def type_line(line: str, folder: Path, environment: dict[str, str]) -> Outcome:
    """One that never ends is stopped by Ctrl-C once it has printed something."""
    words = ["sh", "-c", f"exec {line}" if line.startswith("atb") else line]
    with subprocess.Popen(
        words, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as shell:
        assert shell.stdout is not None
        if set(ENDLESS) & set(line.split()):
            first = shell.stdout.readline()
            shell.send_signal(signal.SIGINT)
            return Outcome(0 if shell.wait(60) == 130 else 1, first + shell.stdout.read())
        output, _ = shell.communicate(timeout=800)
        return Outcome(shell.returncode, output)


@pytest.mark.parametrize(("page", "line"), OURS)
def test_a_command_does_its_work(page: str, line: str, shell: Shell) -> None:
    found = shell.outcome(page, line)
    assert found.code == 0, found.output


@pytest.mark.parametrize(("page", "line"), FOR_CLUSTER)
def test_a_command_for_a_cluster_makes_a_job_for_each_symbol(page: str, line: str, tmp_path: Path) -> None:
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "ATB_DRY_RUN": "client",
        "ATB_BACKEND": "kubernetes",
    }
    found = type_line(line, tmp_path, environment)
    assert found.code == 0, found.output
    symbols = line.partition("--symbols ")[2].split()[0].split(",")
    assert found.output.count("kind: Job") == len(symbols)
    assert "secretRef" in found.output


def test_the_start_page_shows_what_is_printed(shell: Shell) -> None:
    """But for the numbers, which are those of the real market."""
    text = (ROOT / "docs" / "start.md").read_text(encoding="utf-8")
    shown = re.findall(r"([^\n]*)\n```\n\n```\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert len(shown) == 4
    for line, block in shown:
        printed = {word(each) for each in shell.outcome("docs/start.md", line).output.splitlines()}
        assert {word(each) for each in block.splitlines()} <= printed, line


def word(line: str) -> str:
    return line.split(" ", 1)[0]


def test_every_command_is_of_a_kind_that_is_tried() -> None:
    left = [
        (page, line)
        for page, lines in LINES.items()
        for line in lines
        if page not in ELSEWHERE and (page, line) not in TYPED_LINES and not is_checked(line)
    ]
    assert left == []


def is_checked(line: str) -> bool:
    """Whether a line that is not typed here is right as far as can be seen without running it for hours, or without
    what it downloads."""
    name, *words = shlex.split(line)
    if name == "make":
        makefiles = (ROOT / "Makefile").read_text() + (ROOT / "tools" / "tools.mk").read_text()
        return re.search(rf"^{words[0]}:", makefiles, re.MULTILINE) is not None
    if line.startswith("python3 -m venv .venv && . .venv/bin/activate"):
        return True
    if name == "pip":
        extras = re.findall(r"\.\[([\w,-]+)\]", line)
        project = (ROOT / "pyproject.toml").read_text()
        return bool(extras) and all(f"\n{each} = [" in project for each in extras[0].split(","))
    if name == "curl":
        return words[-1] == (
            "https://data.binance.vision/data/spot/monthly/klines/BTCUSDT/1h/BTCUSDT-1h-2025-[03-08].zip"
        )
    if name == "python":
        source = (ROOT / Path(*words[1].split("."))).with_suffix(".py")
        if not source.exists():
            source = ROOT / Path(*words[1].split(".")) / "__main__.py"
        text = source.read_text()
        if "make_parser(" in text:  # what the benchmarks on a real API server share
            text += (ROOT / "benchmarks" / "creation.py").read_text()
        return all(f'"{flag}"' in text or "add_bars(" in text for flag in words if flag.startswith("--"))
    command: click.Command = {"atb": atb, "atb-launch": atb_launch}[name]
    context = command.make_context(name, words)
    while isinstance(command, click.Group) and (rest := [*context._protected_args, *context.args]):
        sub, found, rest = command.resolve_command(context, rest)
        assert found is not None
        command, context = found, found.make_context(sub, rest, parent=context)
    return not context.args


@pytest.mark.parametrize("page", LINES)
def test_atb_is_installed_from_its_own_folder(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    assert re.findall(r"pip install[^\n`]*\batb\[", text) == []
