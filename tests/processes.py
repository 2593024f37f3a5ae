"""Trainings as processes of their own: begun by hand to be killed, or forked where only their end matters."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atb.contract.spec import Spec
from launcher.worker.forkserver_client import Ended, ForkServerClient

ROOT = Path(__file__).parents[1]
PATIENCE = 280.0
"""Seconds after which a test gives a process up."""


@dataclass(frozen=True)
class Done:
    """How a process ended; ``output``: both its streams together."""

    code: int
    output: str

    @property
    def lines(self) -> list[str]:
        """Its lines."""
        return self.output.splitlines()


class Atb:
    """``atb`` with the imports done once for all: each call is a process forked from one that has done them."""

    def __init__(self, forks: ForkServerClient, folder: Path) -> None:
        self.forks, self._folder, self._count = forks, folder, 0

    def __call__(self, *arguments: str, environment: Mapping[str, str] | None = None) -> Done:
        return self.begin(*arguments, environment=environment).wait()

    def begin(self, *arguments: str, environment: Mapping[str, str] | None = None) -> Running:
        """The same, to be watched and stopped."""
        self._count += 1
        name, log = str(self._count), self._folder / f"{self._count}.log"
        self.forks.start(name, arguments, str(log), environment)
        return Running(self.forks, name, log)

    def module(self, name: str, *arguments: str) -> Done:
        """``python -m NAME ARGUMENTS``."""
        return self("-m", name, *arguments)

    def with_small_files(self, *arguments: str) -> Done:
        """``atb ARGUMENTS``, to which the system refuses files above 64 KiB, wherever they are."""
        return self("--small-files", *arguments)


@dataclass
class Running:
    """A process that was forked."""

    forks: ForkServerClient
    name: str
    log: Path
    ended: Ended | None = None

    def wait(self) -> Done:
        """Its end."""
        deadline = time.monotonic() + PATIENCE
        while self.ended is None and time.monotonic() < deadline:
            self._look(1.0)
        if self.ended is None:
            raise AssertionError(f"it did not end: {self.log.read_text()}")
        code = self.ended.code if self.ended.code is not None else -(self.ended.signal or 0)
        return Done(code, self.log.read_text())

    def read_until(self, words: str) -> None:
        """Wait until its JSON log has an event that holds the words; fails where it ends before."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            over = self.ended is not None
            if any(words in event["message"] for event in self.events()):
                return
            assert not over, f"the process ended without saying {words!r}"
            self._look(0.02)
        raise AssertionError(f"it did not say {words!r}: {self.log.read_text()}")

    def events(self) -> list[dict[str, Any]]:
        """The events of its JSON log so far."""
        lines = self.log.read_text().splitlines(keepends=True) if self.log.exists() else []
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")]

    def send(self, number: int) -> None:
        """Send it a signal."""
        self.forks.stop(self.name, number)

    def _look(self, seconds: float) -> None:
        for event in self.forks.events(seconds):
            if isinstance(event, Ended) and event.name == self.name:
                self.ended = event


def job_arguments(spec: Spec, run: str, store: str, *more: str) -> list[str]:
    """``atb train job`` as a launcher calls it, on one thread so that sums are taken in one order."""
    text = json.dumps(spec.model_dump(mode="json"))
    return ["train", "job", text, "--run", run, "--store", store, "--threads", "1", "--accelerator", "cpu", *more]


def begin(arguments: Sequence[str]) -> subprocess.Popen[str]:
    """``python -m trainer.cli ARGUMENTS``, its log to be read."""
    return subprocess.Popen(
        [sys.executable, "-m", "trainer.cli", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
