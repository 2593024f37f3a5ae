"""A training killed and stopped in its middle comes to the same end as one left alone."""

from __future__ import annotations

import json
import signal
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from atb.contract import keys
from atb.documents.attempt import Claim, ExitReport
from atb.documents.result import Result
from atb.errors import NotFound
from atb.storage import DirectoryStore
from tests.processes import Atb, Done, job_arguments
from tests.trainer.pipeline.market import sine_close, tiny_spec, write_bars
from trainer.pipeline.attempt import CHECKPOINT, CLAIM, EXIT, LOG

JOB = "WAVE-fast"
EPOCHS = 12
JSON = ("--log-format", "json")


@dataclass(frozen=True)
class Story:
    """One job killed and stopped before it could end, and the same job left alone, in a process of its own."""

    store: DirectoryStore
    killed_code: int
    after_kill: list[str]
    stopped_code: int
    stopped_events: list[dict[str, Any]]
    after_stop: list[str]
    finished: Done
    alone: Result

    @property
    def result(self) -> Result:
        return read_result(self.store, "hard")


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, atb: Atb) -> Story:
    folder = tmp_path_factory.mktemp("market")
    store = DirectoryStore(tmp_path_factory.mktemp("store"))
    write_bars(folder, "WAVE", sine_close())
    # seconds of training, so that it can't be over before the signal comes
    spec = tiny_spec(folder, "WAVE", sequence_length=32, epochs=EPOCHS, batch_size=32, patience=100, augment="jitter")

    process = atb.begin(*job_arguments(spec, "hard", store.url, *JSON))
    process.read_until("epoch 1/")
    process.send(signal.SIGKILL)
    killed_code = process.wait().code
    after_kill = names(store, "hard")

    process = atb.begin(*job_arguments(spec, "hard", store.url, *JSON))
    process.read_until("epoch 2/")
    for _ in range(2):  # a launcher and the system may both send it
        process.send(signal.SIGTERM)
        time.sleep(0.02)
    stopped_code = process.wait().code
    events = process.events()
    after_stop = names(store, "hard")

    finished = atb(*job_arguments(spec, "hard", store.url, *JSON))
    assert atb(*job_arguments(spec, "alone", store.url)).code == 0
    alone = read_result(store, "alone")
    return Story(store, killed_code, after_kill, stopped_code, events, after_stop, finished, alone)


def test_a_killed_process_leaves_its_claim_and_nothing_that_looks_like_a_result(story: Story) -> None:
    assert story.killed_code == -signal.SIGKILL
    assert story.after_kill == [f"attempts/1/{CLAIM}"]


def test_a_stopped_process_ends_with_143_and_leaves_a_checkpoint(story: Story) -> None:
    assert story.stopped_code == 143
    left = [f"attempts/2/{name}" for name in sorted((CHECKPOINT, CLAIM, EXIT, LOG))]
    assert story.after_stop == [f"attempts/1/{CLAIM}", *left]
    report = ExitReport.from_bytes(story.store.get(keys.attempt("hard", JOB, 2, EXIT)), EXIT)
    assert (report.attempt, report.code, report.category, report.stage) == (2, 143, "stopped", "training")
    assert report.epochs >= 2
    assert "stopped in epoch" in report.message
    log = story.store.get(keys.attempt("hard", JOB, 2, LOG)).decode()
    assert log.splitlines()[-1] == f"error: {report.message}"


def test_the_next_attempt_resumes_from_the_checkpoint_and_finishes(story: Story) -> None:
    assert story.finished.code == 0, story.finished.output
    assert (story.result.attempt, story.result.fit.resumed_from_attempt) == (3, 2)
    claim = Claim.from_bytes(story.store.get(keys.attempt("hard", JOB, 3, CLAIM)), CLAIM)
    assert claim.attempt == 3
    first = next(event for event in logged(story.finished) if event["message"].startswith("epoch "))
    assert not first["message"].startswith("epoch 1/")


def test_the_same_spec_in_two_processes_gives_the_same_numbers_stopped_or_not(story: Story) -> None:
    resumed, alone = story.result, story.alone
    assert alone.fit.resumed_from_attempt is None
    assert resumed.metrics == alone.metrics
    assert resumed.baselines == alone.baselines
    assert resumed.backtest == alone.backtest
    assert losses(story.store, resumed) == losses(story.store, alone)
    for path in ("scaler.json", "model.onnx", "model.keras", "forecasts.parquet"):
        assert sha256(resumed, path) == sha256(alone, path)


def test_every_line_of_a_json_log_is_one_event(story: Story) -> None:
    for event in (*story.stopped_events, *logged(story.finished)):
        assert set(event) == {"time", "level", "symbol", "preset", "message"}
        assert (event["symbol"], event["preset"]) == ("WAVE", "fast")
        assert "\n" not in event["message"]
    last = story.stopped_events[-1]
    assert last["level"] == "error"
    assert "the next attempt resumes" in last["message"]
    epochs = [event["message"].split()[1] for event in logged(story.finished) if event["message"].startswith("epoch ")]
    assert epochs == [f"{number}/{EPOCHS}" for number in range(EPOCHS + 1 - len(epochs), EPOCHS + 1)]


def test_a_stop_while_bars_are_loaded_ends_the_wait(atb: Atb, tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path / "store")
    spec = tiny_spec(tmp_path, "WAVE", source="binance")
    with socket.create_server(("127.0.0.1", 0)) as exchange:  # takes every request and never answers
        address = f"http://127.0.0.1:{exchange.getsockname()[1]}"
        where = {"ATB_BINANCE_ARCHIVE_URL": address, "ATB_BINANCE_REST_URL": address}
        process = atb.begin(*job_arguments(spec, "hard", store.url, *JSON), environment=where)
        with exchange.accept()[0]:
            process.send(signal.SIGTERM)
            done = process.wait()
    assert done.code == 143
    assert "stopped before training" in process.events()[-1]["message"]
    report = ExitReport.from_bytes(store.get(keys.attempt("hard", JOB, 1, EXIT)), EXIT)
    assert (report.code, report.stage) == (143, "data loading")


def logged(done: Done) -> list[dict[str, Any]]:
    """The events of a JSON log; the last line of the output is where the result is."""
    assert done.lines[-1].endswith("result.json")
    return [json.loads(line) for line in done.lines[:-1]]


def names(store: DirectoryStore, run: str) -> list[str]:
    prefix = keys.job_prefix(run, JOB)
    with pytest.raises(NotFound):
        store.get(keys.result(run, JOB))
    return [entry.key.removeprefix(prefix) for entry in store.list(prefix)]


def read_result(store: DirectoryStore, run: str) -> Result:
    return Result.from_bytes(store.get(keys.result(run, JOB)), run)


def losses(store: DirectoryStore, result: Result) -> list[list[float]]:
    key = next(file.key for file in result.files if file.path == "history.json")
    history = json.loads(store.get(key))
    return [history[name] for name in ("loss", "val_loss", "learning_rate")]


def sha256(result: Result, path: str) -> str:
    return next(file.sha256 for file in result.files if file.path == path)
