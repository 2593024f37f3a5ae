"""Runs of tiny jobs under random kills:   python -m tests.launcher.worker.kills --kills 100

Two launchers share each run. At random, a training, a fork server or a launcher gets SIGKILL or SIGTERM, while the
store's answers come late or are lost. A launcher that has ended is started again, as a user would. In the end every
job of every run has one result, which never changed, and the attempt that it names was claimed.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil

from atb.contract import keys
from atb.documents.result import Result
from atb.storage import DirectoryStore
from launcher.plan.build import commit_plan
from launcher.records.attempt_facts import AttemptReader
from tests.launcher.worker.lossy import VARIABLE
from tests.launcher.worker.test_backend import plan_of
from tests.processes import ROOT

LAUNCHERS = 2
LOST = 0.02
MOST_KILLS = 12
"""In one run: a launcher that is always killed while it starts does nothing."""
GIVE_UP_SECONDS = 240.0
KINDS = ("training", "training", "server", "launcher")
LOOKS = 100
"""For a process of the kind that is to be killed next: on a slow machine most of a launcher's time is its start."""


def find_victims(launcher: int) -> dict[str, list[psutil.Process]]:
    """The processes of a launcher by their kind."""
    found: dict[str, list[psutil.Process]] = {kind: [] for kind in KINDS}
    with suppress(psutil.NoSuchProcess):
        found["launcher"] = [psutil.Process(launcher)]
        found["server"] = found["launcher"][0].children()
        for server in found["server"]:
            found["training"] += server.children()
    return found


class Run:
    """One run, its launchers, and what was seen of its results."""

    def __init__(self, folder: Path, jobs: int, dice: random.Random, lost: float = LOST) -> None:
        self.store = DirectoryStore(folder / "store")
        self.plan = plan_of(*(f"QUICK{number}" for number in range(jobs)))
        commit_plan(self.plan, self.store)
        self._dice, self._environment = dice, {**os.environ, VARIABLE: str(lost)}
        self._errors = (folder / "launchers.log").open("ab")
        self._launchers: list[subprocess.Popen[bytes]] = []
        self._results: dict[str, bytes] = {}
        self._next = dice.choice(KINDS)
        self.kills: list[str] = []

    def keep_launchers(self) -> None:
        """Start those that have ended again."""
        self._launchers = [launcher for launcher in self._launchers if launcher.poll() is None]
        while len(self._launchers) < LAUNCHERS:
            command = [sys.executable, "-m", "tests.launcher.worker.share", str(self.store.root)]
            process = subprocess.Popen(command, cwd=ROOT, env=self._environment, stderr=self._errors)
            self._launchers.append(process)

    def kill_one(self) -> None:
        """Send a signal to a training, a fork server or a launcher, once there is one of the kind that is next."""
        for _ in range(LOOKS):
            launcher = self._dice.choice(self._launchers)
            if victims := find_victims(launcher.pid)[self._next]:
                number = self._dice.choice([signal.SIGKILL, signal.SIGTERM])
                with suppress(psutil.NoSuchProcess):
                    self._dice.choice(victims).send_signal(number)
                    self.kills.append(f"{self._next} {number.name}")
                    self._next = self._dice.choice(KINDS)
                return
            time.sleep(0.01)

    def is_done(self) -> bool:
        """Whether every job has a result; each that is seen must stay as it is."""
        for job in self.plan.jobs:
            path = self.store.root / keys.result(self.plan.run, job.job)
            if path.exists():
                content = path.read_bytes()
                assert self._results.setdefault(job.job, content) == content, f"{job.job} was committed twice"
        return len(self._results) == len(self.plan.jobs)

    def finish(self) -> None:
        """Let the launchers come to their end, and judge what is there."""
        deadline = time.monotonic() + GIVE_UP_SECONDS
        for launcher in self._launchers:
            launcher.wait(max(1.0, deadline - time.monotonic()))
        self._errors.close()
        assert self.is_done()
        facts = AttemptReader(self.store, self.plan.run).read_all()
        for job in self.plan.jobs:
            key = keys.result(self.plan.run, job.job)
            result = Result.from_bytes(self.store.get(key), key)
            assert result.job == job.job
            assert facts[job.job].done

    def stop(self) -> None:
        """End whatever still runs."""
        for launcher in self._launchers:
            try:
                family = psutil.Process(launcher.pid).children(recursive=True)
            except psutil.NoSuchProcess:
                family = []
            launcher.kill()
            for process in family:
                if process.is_running():
                    process.kill()
            launcher.wait()


def shake(folder: Path, jobs: int, kills: int, seed: int, *, pause: float = 0.6, lost: float = LOST) -> Run:
    """One run with so many kills, or fewer where its jobs are done before."""
    run = Run(folder, jobs, dice := random.Random(seed), lost)
    deadline = time.monotonic() + GIVE_UP_SECONDS
    try:
        while not run.is_done():
            assert time.monotonic() < deadline, f"a job is lost, or blocked, after {run.kills}: {folder}"
            run.keep_launchers()
            time.sleep(dice.random() * 2 * pause)
            if len(run.kills) < kills:
                run.kill_one()
        run.finish()
    finally:
        run.stop()
    return run


def main() -> None:
    """Shake runs until so many signals have been sent."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    sent, number = 0, 0
    while sent < arguments.kills:
        with tempfile.TemporaryDirectory() as folder:
            run = shake(Path(folder), arguments.jobs, min(MOST_KILLS, arguments.kills - sent), arguments.seed + number)
            attempts = sum(len(facts.attempts) for facts in AttemptReader(run.store, "r1").read_all().values())
        sent, number = sent + len(run.kills), number + 1
        print(
            f"run {number}: {arguments.jobs} jobs done once, in {attempts} attempts; {', '.join(run.kills)}", flush=True
        )
    print(f"{sent} kills over {number} runs: every job done once, none lost, none committed twice")


if __name__ == "__main__":
    main()
