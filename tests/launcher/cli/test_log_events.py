"""The launcher's log as JSON lines."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

from launcher.cli.log_events import EventStream


def events(text: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in text.splitlines()]


def test_each_complete_line_is_one_event_with_its_level() -> None:
    out = io.StringIO()
    stream = EventStream(out)
    stream.write("run r: 2 to tr")
    stream.write('ain "here"\n\nwarning: it is slow\nerror: ü\n')
    stream.write("not ended")
    found = events(out.getvalue())
    assert [(event["level"], event["message"]) for event in found] == [
        ("info", 'run r: 2 to train "here"'),
        ("warning", "warning: it is slow"),
        ("error", "error: ü"),
    ]
    assert list(found[0]) == ["time", "level", "symbol", "preset", "message"]


def test_lines_of_several_threads_stay_whole() -> None:
    out = io.StringIO()
    stream = EventStream(out)
    threads = [threading.Thread(target=lambda n=n: [stream.write(f"{n}\n") for _ in range(200)]) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted({event["message"] for event in events(out.getvalue())}) == ["0", "1", "2", "3"]
    assert len(out.getvalue().splitlines()) == 800


def launch(*words: str, store: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "launcher.cli", *words, "--store", str(store)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"NO_COLOR": "1"})


def test_everything_that_a_launcher_says_is_an_event_its_error_too(tmp_path: Path) -> None:
    what = ("--symbols", "BTCUSDT", "--source", f"files:{tmp_path}", "--backend", "local", "--log-format", "json")
    done = launch(*what, "--set", "epochs=1", "--run", "r", store=tmp_path / "store")
    assert done.returncode == 10, done.stderr
    progress, results = events(done.stderr), events(done.stdout)
    assert progress[0]["message"] == "backend local: as asked"
    assert any(event["message"].startswith("BTCUSDT-balanced: failed (bad-data): ") for event in progress)
    assert any(event["message"].startswith("manifest  ") for event in results)
    again = launch("--resume", "missing", "--log-format", "json", store=tmp_path / "store")
    assert [event["level"] for event in events(again.stderr)] == ["error"]


def test_a_document_on_stdout_stays_a_document(tmp_path: Path) -> None:
    what = ("--symbols", "BTCUSDT", "--source", "sample", "--backend", "local", "--log-format", "json", "--dry-run")
    done = launch(*what, "--output", "json", store=tmp_path / "store")
    assert json.loads(done.stdout)["jobs"][0]["job"] == "BTCUSDT-balanced"
    assert events(done.stderr)
