"""The launcher's lines as events for a log collector: one JSON object per line, with the fields of the
trainings' logs."""

from __future__ import annotations

import io
import json
import sys
import threading
from datetime import UTC, datetime
from typing import TextIO

_LEVELS = {"error: ": "error", "warning: ": "warning", "WARN  ": "warning", "FAIL  ": "error"}
"""What a line begins with that is more than information."""


def log_as_events(*, output: bool) -> None:
    """From now on make each line on stderr an event, and with ``output`` each line on stdout too."""
    sys.stderr = EventStream(sys.stderr)
    if output:
        sys.stdout = EventStream(sys.stdout)


class EventStream(io.TextIOBase):
    """A text stream that writes each complete line to ``out`` as an event. May be shared between threads."""

    encoding = "utf-8"
    errors = "strict"

    def __init__(self, out: TextIO) -> None:
        self._out, self._rest, self._lock = out, "", threading.Lock()

    def writable(self) -> bool:
        """It is for writing."""
        return True

    def fileno(self) -> int:
        """The number of the stream beneath."""
        return self._out.fileno()

    def write(self, text: str) -> int:
        """Write what is complete; blank lines are no events."""
        with self._lock:
            *lines, self._rest = (self._rest + text).split("\n")
            for line in lines:
                if line.strip():
                    self._out.write(f"{_event(line.rstrip())}\n")
        return len(text)

    def flush(self) -> None:
        """Hand on what is complete."""
        self._out.flush()


def _event(line: str) -> str:
    level = next((level for start, level in _LEVELS.items() if line.startswith(start)), "info")
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    event = {"time": at, "level": level, "symbol": "", "preset": "", "message": line}
    return json.dumps(event, ensure_ascii=False)
