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
PATIENCE = 120.0
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
        self._count += 1
        name, log = str(self._count), self._folder / f"{self._count}.log"
        self.forks.start(name, arguments, str(log), environment)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            for event in self.forks.events(1.0):
                if isinstance(event, Ended) and event.name == name:
                    return Done(event.code if event.code is not None else -(event.signal or 0), log.read_text())
        raise AssertionError(f"atb {' '.join(arguments)} did not end: {log.read_text()}")


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


def read_until(process: subprocess.Popen[str], words: str) -> list[dict[str, Any]]:
    """The log's events up to the first that holds the words; fails where the log ends before."""
    assert process.stderr is not None
    events = []
    for line in process.stderr:
        events.append(json.loads(line))
        if words in events[-1]["message"]:
            return events
    raise AssertionError(f"the process ended without saying {words!r}: {events[-3:]}")
