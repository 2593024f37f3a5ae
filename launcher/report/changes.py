"""What a run that is not on a terminal prints: one line for each change that matters, however many jobs there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from atb.documents.manifest import State
from launcher.report.live_table import NUMBER, Row, waiting_lines

_FEW = 8
"""With no more jobs than this, each start, stage and end is a change that matters."""
_MOST_KINDS = 100
"""Kinds of reasons that are printed."""
_MOST_OF_A_KIND = 10
"""Jobs that are named one by one for failures of one kind; more are counted, and the page names them all."""


class Changes:
    """What was printed of each job, and what is to be printed next."""

    def __init__(self) -> None:
        self._printed: dict[str, tuple[State, str, int]] = {}
        self._waiting: set[str] = set()
        self._kinds: Counter[str] = Counter()
        self._retries: dict[str, int] = {}

    def take(self, rows: Sequence[Row]) -> Iterator[str]:
        """The lines about what has changed since the rows before."""
        few = len(rows) <= _FEW
        for row in rows:
            stage = row.detail if few and row.state == "running" else ""
            now, before = (row.state, row.category or stage, row.attempts), self._printed.get(row.job)
            if before == now:
                continue
            self._printed[row.job] = now
            again = row.attempts > max(1, self._retries.get(row.job, 0))
            if again:
                self._retries[row.job] = row.attempts
            if row.state in ("failed", "interrupted"):
                yield from self._name(row, few)
            elif again and row.state != "done":
                yield from self._name(row, few, f"attempt {row.attempts}, ")
            elif few and (before is None or before[:2] != now[:2]) and not _waits(row, before):
                yield _line(row)
        for kind, line in waiting_lines(rows, self._waiting):
            if len(self._waiting) < _MOST_KINDS:
                self._waiting.add(kind)
                yield line

    def retries(self) -> str:
        """``12 retries``; empty without one."""
        count = sum(attempts - 1 for attempts in self._retries.values())
        return f"{count} retr{'ies' if count > 1 else 'y'}" if count else ""

    def _name(self, row: Row, few: bool, attempt: str = "") -> Iterator[str]:
        """The job's line, unless many have gone the same way."""
        kind = f"{bool(attempt)} {row.state} {row.category}: {NUMBER.sub('', row.detail) if not attempt else ''}"
        if kind not in self._kinds and len(self._kinds) >= _MOST_KINDS:
            return
        self._kinds[kind] += 1
        if few or self._kinds[kind] <= _MOST_OF_A_KIND:
            yield _line(row, attempt)
        elif self._kinds[kind] == _MOST_OF_A_KIND + 1:
            what = "retries" if attempt else f"jobs that are {row.state}{f' ({row.category})' if row.category else ''}"
            yield f"further {what} like these are only counted"


def _waits(row: Row, before: tuple[State, str, int] | None) -> bool:
    """Whether a job has not begun, or says elsewhere why it waits."""
    return row.state == "pending" and (before is None or bool(row.category))


def _line(row: Row, attempt: str = "") -> str:
    """``BTCUSDT-fast: failed (oom): 64 MiB was not enough``."""
    words = f"{row.job}: {attempt}{row.state}{f' ({row.category})' if row.category else ''}"
    return f"{words}{f': {row.detail}' if row.detail else ''}"
