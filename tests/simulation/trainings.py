"""Trainings as scripts: epochs that take their time, with the claim, progress and commit of the real ones."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from atb.contract import keys
from atb.contract.bundle import EVIDENCE
from atb.documents.evidence import TestRows
from atb.documents.plan import Plan, PlannedJob
from atb.documents.result import FileEntry, Result
from atb.errors import AtbError, NotFound
from atb.registry.champions import ModelKey, read_champion
from atb.storage.s3 import S3Store
from tests.atb.registry.candidates import GOOD, measured
from tests.atb.registry.candidates import make_result as make_good
from tests.launcher.fixtures import make_result
from tests.simulation.kernel import Process, VirtualClock
from trainer.pipeline.attempt import CHECKPOINT, Attempt, commit_result, read_committed


@dataclass
class Script:
    """What a job's trainings do. ``crashes``: how many of them end with 75 before one does not."""

    epochs: int = 4
    seconds: float = 20.0
    exit_code: int = 0
    crashes: int = 0
    needs_mebibytes: int = 0
    """What it needs from the middle of its epochs on."""
    grows_mebibytes: int = 0
    """What each epoch adds to that: an attempt that continues from a checkpoint begins with less."""
    hangs: bool = False
    began: int = 0
    met: tuple[str, str, str] | None = None
    """Entry, run and job of the champion that it is compared with."""


_GOOD = make_good()
ROWS = 3
"""Test rows of every training."""
_EVIDENCE = TestRows(
    bar="persistence",
    horizon=1,
    step_ms=3_600_000,
    spread=0.01,
    time=tuple(1_793_000_000_000 + 3_600_000 * number for number in range(ROWS)),
    forecast=(0.01,) * ROWS,
    outcome=(0.01,) * ROWS,
    scale=(0.01,) * ROWS,
).to_bytes()


class OutOfMemory(Exception):
    """The kernel kills it."""


def train(
    plan: Plan,
    planned: PlannedJob,
    script: Script,
    store: S3Store,
    process: Process,
    memory_mebibytes: int,
    done: Callable[[int, str], None],
) -> None:
    """Begin one training as a process; ``done`` is called with its exit code and the kernel's reason."""

    def work() -> None:
        try:
            code = _train(plan, planned, script, store, process, memory_mebibytes)
        except OutOfMemory:
            process.kernel.log(process.name, "is killed for its memory")
            done(137, "OOMKilled")
            return
        except AtbError as error:
            process.kernel.log(process.name, f"ends with {error.exit_code}: {str(error)[:80]}")
            done(error.exit_code, "")
            return
        process.kernel.log(process.name, f"ends with {code}")
        done(code, "")

    process.on_kill = lambda: done(137, "")
    process.kernel.log(process.name, f"trains {planned.job}")
    process.start(work)


def _train(
    plan: Plan, planned: PlannedJob, script: Script, store: S3Store, process: Process, memory_mebibytes: int
) -> int:
    kernel, clock = process.kernel, VirtualClock(process)
    if read_committed(store, plan.run, planned.spec) is not None:
        return 0
    attempt = Attempt(store, plan.run, planned.job, clock=clock, memory=lambda: 0)
    script.began += 1
    mine = script.began
    begun = _find_checkpoint(store, attempt, plan.run, planned.job)
    for epoch in range(begun, script.epochs):
        if script.hangs:
            kernel.sleep(7200.0)
        kernel.sleep(script.seconds)
        if script.exit_code and epoch == script.epochs // 2:
            attempt.end(script.exit_code, "as the script has it", "training", b"")
            return script.exit_code
        if mine <= script.crashes and epoch == script.epochs // 2:
            return 75
        grown = script.grows_mebibytes * (epoch - begun)
        if script.needs_mebibytes + grown > memory_mebibytes and epoch >= script.epochs // 2:
            raise OutOfMemory
        attempt.epochs = epoch + 1
        if epoch == begun:
            attempt.say_stage("training", script.epochs)
        if process.stop_requested:
            store.put(attempt.key(CHECKPOINT), b"%d" % (epoch + 1))
            attempt.end(143, "told to stop", "training", b"")
            return 143
        if epoch % 2:
            store.put(attempt.key(CHECKPOINT), b"%d" % (epoch + 1))
    commit_result(store, _make_result(plan, planned, script, attempt, store))
    attempt.end(0, "", "end", b"")
    return 0


def _find_checkpoint(store: S3Store, attempt: Attempt, run: str, job: str) -> int:
    for number in range(attempt.number - 1, 0, -1):
        try:
            return int(store.get(keys.attempt(run, job, number, CHECKPOINT)))
        except NotFound:
            continue
    return 0


def _make_result(plan: Plan, planned: PlannedJob, script: Script, attempt: Attempt, store: S3Store) -> Result:
    """The result, its one file uploaded before."""
    data = f"{plan.run} {planned.job} {attempt.number}".encode()
    champion = read_champion(store, ModelKey.of(planned.spec))
    script.met = None if champion is None else (champion[0].entry, champion[0].run, champion[0].job)
    key = keys.bundle(plan.run, planned.job, attempt.number, "model.onnx")
    store.put(key, data)
    file = FileEntry(path="model.onnx", key=key, size=len(data), sha256=hashlib.sha256(data).hexdigest())
    rows = keys.bundle(plan.run, planned.job, attempt.number, EVIDENCE)
    store.put(rows, _EVIDENCE)
    digest = hashlib.sha256(_EVIDENCE).hexdigest()
    files = (file, FileEntry(path=EVIDENCE, key=rows, size=len(_EVIDENCE), sha256=digest))
    parts: dict[str, Any] = {"attempt": attempt.number, "files": files}
    parts |= {"started": attempt.started, "finished": attempt.started}
    if script.met is not None:
        entry, run, job = script.met
        beside = measured(entry, GOOD).model_copy(update={"run": run, "job": job})
        parts["evaluation"] = _GOOD.evaluation.model_copy(update={"champion": beside})
    return _template(plan, planned).model_copy(update=parts)


_TEMPLATES: dict[tuple[str, str], Result] = {}


def _template(plan: Plan, planned: PlannedJob) -> Result:
    """A result that passes the gate; made once, since it is the same every night."""
    key = (plan.run, planned.job)
    if key not in _TEMPLATES:
        kept = ("metrics", "baselines", "evaluation", "backtest", "export")
        parts = {name: getattr(_GOOD, name) for name in kept}
        made = make_result(plan.run, planned)
        bars = made.bars.model_copy(update={"sources": {"sample": "sample"}})  # so that its pointer can be made again
        _TEMPLATES[key] = made.model_copy(update={**parts, "bars": bars})
    return _TEMPLATES[key]


def make_candidate(plan: Plan, planned: PlannedJob, attempt: int) -> Result:
    """A result that passes the gate, without files."""
    return _template(plan, planned).model_copy(update={"attempt": attempt})
