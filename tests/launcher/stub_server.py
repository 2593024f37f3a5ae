"""A fork server whose trainings do what their symbol says, without TensorFlow."""

from __future__ import annotations

import os
import signal
import sys
import time
from datetime import UTC, datetime
from types import FrameType

from atb.contract import exits, keys
from atb.contract.spec import Spec
from atb.documents.attempt import Claim, ExitReport, Progress
from atb.errors import AtbError
from atb.machine import machine_id
from atb.storage import Store
from tests.atb.registry.candidates import make_result
from tests.launcher.worker.lossy import open_test_store
from trainer.forkserver import serve

NOW = datetime(2026, 1, 31, 6, tzinfo=UTC)


def train(arguments: list[str]) -> int:
    """One attempt, as ``atb train job`` leaves it in the store."""
    assert arguments[:2] == ["train", "job"]
    spec = Spec.from_bytes(arguments[2], "SPEC")
    options = dict(zip(arguments[3::2], arguments[4::2], strict=True))
    store, run, job = open_test_store(options["--store"]), options["--run"], keys.job_id(spec.symbol, spec.preset)
    prefix = keys.attempts_prefix(run, job)
    number = 1 + len({entry.key[len(prefix) :].split("/")[0] for entry in store.list(prefix)})
    number = int(options.get("--attempt", number))
    claim = Claim(attempt=number, host=str(launcher()), process=os.getpid(), machine=machine_id(), started=NOW)
    if spec.symbol == "MUTE":
        print("error: the store is out of reach", file=sys.stderr)
        return 75
    store.put_if_absent(keys.attempt(run, job, number, "claim.json"), claim.to_bytes())
    print(f"attempt {number} of {job} with {options['--threads']} threads", file=sys.stderr, flush=True)
    match spec.symbol, number:
        case ("KILLED", _) | ("KILLEDONCE", 1):
            os.kill(os.getpid(), signal.SIGKILL)
        case ("BROKEN", _):
            raise ZeroDivisionError("a bug")
        case ("BADBARS", _) | ("BADONCE", 1):
            return end(store, run, job, number, 10, "40 bars where 500 are needed")
        case ("FLAKY", 1 | 2) | ("NEVER", _):
            return end(store, run, job, number, 75, "the exchange did not answer")
        case ("GREEDY", _):
            grow(step=20 << 20, most=(900 if number == 1 else 300) << 20)
        case ("STUCK", 1):
            beat(store, run, job, claim)
            return end(store, run, job, number, 75, "it woke up")
        case ("SLOW", 1):
            wait_for_stop(store, run, job)
            return end(store, run, job, number, 143, "stopped in epoch 3")
    if spec.symbol.startswith("QUICK"):
        time.sleep(0.3)
    if spec.symbol.startswith("BOTH"):
        wait_for_another(store, run, claim)
    result = make_result(run, spec.symbol, spec.preset).model_copy(update={"spec": spec, "spec_digest": spec.digest})
    store.put_if_absent(keys.result(run, job), result.to_bytes())
    return end(store, run, job, number, 0, "done")


def wait_for_another(store: Store, run: str, claim: Claim, seconds: float = 30.0) -> None:
    """Until another launcher has claimed a job of the run. Raises TimeoutError when none does within ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        found = [entry.key for entry in store.list(keys.jobs_prefix(run)) if entry.key.endswith("/claim.json")]
        if any(Claim.from_bytes(store.get(key), key).host != claim.host for key in found):
            return
        if time.monotonic() > deadline:
            raise TimeoutError("no other launcher has claimed a job")
        time.sleep(0.05)


def end(store: Store, run: str, job: str, number: int, code: int, message: str) -> int:
    report = ExitReport(
        attempt=number,
        code=code,
        category=exits.BY_CODE[code].category,
        message=message,
        stage="training",
        started=NOW,
        finished=NOW,
    )
    store.put(keys.attempt(run, job, number, "exit.json"), report.to_bytes())
    return code


def launcher() -> int:
    """The process that this training's fork server was started by."""
    with open(f"/proc/{os.getppid()}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])


def beat(store: Store, run: str, job: str, claim: Claim) -> None:
    """Say again and again that it lives, until somebody else has done the job."""
    done = keys.result(run, job)
    while not any(entry.key == done for entry in store.list(done)):
        store.put(keys.attempt(run, job, claim.attempt, "claim.json"), claim.to_bytes())
        time.sleep(0.2)


def grow(step: int, most: int) -> None:
    """Hold ever more memory, then give it back."""
    held: list[bytes] = []
    while len(held) * step < most:
        held.append(bytes([1]) * step)
        time.sleep(0.05)


def wait_for_stop(store: Store, run: str, job: str) -> None:
    signals: list[int] = []

    def hear(number: int, frame: FrameType | None) -> None:
        signals.append(number)

    signal.signal(signal.SIGTERM, hear)
    progress = Progress(attempt=1, stage="training", epoch=2, epochs=9, validation_loss=0.5, updated=NOW)
    store.put(keys.progress(run, job), progress.to_bytes())
    while not signals:
        time.sleep(0.02)


def run(arguments: list[str]) -> int:
    """The same, with a known failure as a line and its code."""
    try:
        return train(arguments)
    except AtbError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    serve(run)
