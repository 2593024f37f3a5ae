"""The lines of all trainings of a worker as one log: JSON events that name their symbol and preset."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from atb.documents.plan import Plan
from launcher.report.live_table import Row

MOST_BYTES = 1 << 20
"""Read of one log at a time."""


class LogRelay:
    """Copies what trainings append to ``folder/JOB.log``. Not for sharing between threads."""

    def __init__(self, folder: Path, plan: Plan, out: TextIO) -> None:
        self._folder, self._out = folder, out
        self._names = {job.job: (job.spec.symbol, job.spec.preset) for job in plan.to_run}
        self._read: dict[str, int] = {}
        self._states: dict[str, str] = {}

    def say(self, message: str, symbol: str = "", preset: str = "") -> None:
        """An event of the worker's own."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        event = {"time": at, "level": "info", "symbol": symbol, "preset": preset, "message": message}
        self._out.write(json.dumps(event, ensure_ascii=False) + "\n")
        self._out.flush()

    def show(self, rows: Sequence[Row], note: str) -> None:
        """Copy what is new, and print the note if it has changed."""
        self.drain(complete=False)
        if note and self._states.get("") != note:
            self._states[""] = note
            self.say(note)

    def drain(self, *, complete: bool = True) -> None:
        """Copy what is new; the rest of a line that is being written only where the logs are ``complete``."""
        for path in sorted(self._folder.glob("*.log")):
            if path.stem in self._names:
                self._copy(path, complete)

    def _copy(self, path: Path, complete: bool) -> None:
        start = self._read.get(path.stem, 0)
        if path.stat().st_size <= start:
            return
        with path.open("rb") as file:
            file.seek(start)
            data = file.read(MOST_BYTES)
        end = len(data) if complete or len(data) == MOST_BYTES else data.rfind(b"\n") + 1
        self._read[path.stem] = start + end
        for line in data[:end].decode("utf-8", "replace").splitlines():
            if line.startswith('{"time": '):
                self._out.write(f"{line}\n")
            elif line.strip():
                self.say(line, *self._names[path.stem])
        self._out.flush()
