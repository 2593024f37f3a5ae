"""The launcher's end of ``trainer.forkserver``: each line starts or stops a training, or reports one."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from atb.errors import Unavailable

SERVER = (sys.executable, "-m", "trainer.forkserver")
_TAIL = 400
"""How many characters of the server's last output are reported."""


@dataclass(frozen=True)
class Ready:
    """The imports are done."""


@dataclass(frozen=True)
class Started:
    """A training has a process."""

    name: str
    pid: int


@dataclass(frozen=True)
class Ended:
    """A training's process has ended: with a code, or killed by a signal."""

    name: str
    code: int | None
    signal: int | None

    @property
    def words(self) -> str:
        """``exit code 75``, ``killed by SIGKILL``."""
        return f"killed by {signal_name(self.signal)}" if self.signal else f"exit code {self.code}"


Event = Ready | Started | Ended


def signal_name(number: int) -> str:
    """``SIGKILL``; a number without a name stays a number."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


class ForkServerClient:
    """A running server. Leaving the context stops its trainings and waits for them."""

    def __init__(self, command: Sequence[str] = SERVER, environment: Mapping[str, str] | None = None) -> None:
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
        self._events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, name="forks", daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            pass
        self._process.wait()
        self._reader.join()
        self._process.stdout.close()
        self._stderr.close()

    @property
    def pid(self) -> int:
        """The server's process."""
        return self._process.pid

    def start(
        self, name: str, arguments: Sequence[str], log: str, environment: Mapping[str, str] | None = None
    ) -> None:
        """Have a training started. Raises Unavailable where the server has died."""
        request = {"id": name, "arguments": list(arguments), "log": log, "environment": dict(environment or {})}
        self._say(request)

    def stop(self, name: str, number: int = signal.SIGTERM) -> None:
        """Send a training a signal; one that has ended gets none. Raises Unavailable."""
        self._say({"id": name, "signal": int(number)})

    def events(self, seconds: float) -> Iterator[Event]:
        """The events so far, waiting up to ``seconds`` for the first. Raises Unavailable if the server has died."""
        try:
            event = self._events.get(timeout=seconds)
            while True:
                if event is None:
                    raise self._death()
                yield event
                event = self._events.get_nowait()
        except queue.Empty:
            return

    def _say(self, request: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write((json.dumps(request) + "\n").encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._death() from None

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            event = json.loads(line)
            if "ready" in event:
                self._events.put(Ready())
            elif "pid" in event:
                self._events.put(Started(event["id"], event["pid"]))
            else:
                self._events.put(Ended(event["id"], event.get("code"), event.get("signal")))
        self._events.put(None)

    def _death(self) -> Unavailable:
        code = self._process.wait()
        how = f"was killed by {signal_name(-code)}" if code < 0 else f"ended with exit code {code}"
        self._stderr.seek(0)
        lines = [line for line in self._stderr.read().decode("utf-8", "replace").splitlines() if line.strip()]
        last = lines[-1].strip()[-_TAIL:] if lines else "it printed nothing"
        return Unavailable(f"the process that starts trainings {how}: {last}")
