"""Log lines: one event a line, with time, level, symbol, preset and message, as text or JSON."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import tempfile
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Literal

from atb.errors import Stopped
from atb.redaction import redact

Format = Literal["text", "json"]
_TAIL_LINES = 400


class _Formatter(logging.Formatter):
    def __init__(self, style: Format, symbol: str, preset: str) -> None:
        super().__init__()
        self._as_json, self._symbol, self._preset = style == "json", symbol, preset

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        message = record.getMessage()
        if record.exc_info:
            message += "\n" + self.formatException(record.exc_info)
        message = redact(message)
        level = record.levelname.lower()
        if not self._as_json:
            return " ".join(part for part in (at, f"{level:7}", self._symbol, self._preset, message) if part)
        fields = {"time": at, "level": level, "symbol": self._symbol, "preset": self._preset, "message": message}
        return json.dumps(fields, ensure_ascii=False)


class LogTail(logging.Handler):
    """Keeps the last lines, for the store: a Pod's own log is deleted with the Pod."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: deque[str] = deque(maxlen=_TAIL_LINES)

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(self.format(record))

    def to_bytes(self) -> bytes:
        """The last lines as text."""
        return "".join(f"{line}\n" for line in self._lines).encode()


def start_logging(style: Format = "text", symbol: str = "", preset: str = "") -> LogTail:
    """Send our log and warnings to stderr in one format, and keep its tail. Replaces what an earlier call set up."""
    tail, stream = LogTail(), logging.StreamHandler(sys.stderr)
    stream.setFormatter(_Formatter(style, symbol, preset))
    tail.setFormatter(_Formatter("text", symbol, preset))
    for name in ("atb", "trainer", "py.warnings"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [stream, tail], False
        logger.setLevel(logging.INFO)
    logging.captureWarnings(True)
    return tail


@contextlib.contextmanager
def capture_stderr() -> Iterator[None]:
    """Keep back what native libraries print to stderr while they load; show it where loading fails."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as aside:
        os.dup2(aside.fileno(), 2)
        try:
            yield
        except BaseException as error:
            if isinstance(error, Stopped):
                raise  # nothing failed
            aside.seek(0)
            os.write(kept, aside.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
