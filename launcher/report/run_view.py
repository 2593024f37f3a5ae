"""What is shown while a run goes on: a table that repaints on a terminal, lines elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from atb.errors import AtbError
from atb.schema import printable
from launcher.report.changes import Changes
from launcher.report.eta import Usual, Watch, bar_line
from launcher.report.live_table import NUMBER, Row, cut_reasons, row_lines, summary_line

_REFRESH_SECONDS = 0.25
_MOST_REASONS = 2
"""Reasons that are shown in full below a live table."""
_LONGEST = 2_000
_HEARTBEAT_SECONDS = 60.0
"""How often a run without a terminal prints its state."""


class RunView:
    """Shows a run as it goes: a table that repaints on a terminal, a line for each change that matters elsewhere."""

    def __init__(
        self,
        title: str,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
        usual: Callable[[], Mapping[str, Usual]] = dict,
    ) -> None:
        """``usual`` reads how trainings of each preset ended earlier, in a thread of its own."""
        self._console = console or Console(file=sys.stderr)
        self._title = title
        self._clock = clock
        self._painted = -_REFRESH_SECONDS
        self._beat = clock()
        self._rows: Sequence[Row] = ()
        self._changes = Changes()
        self._note = ""
        self._watch = Watch()
        self._usual = usual
        self._live = Live(console=self._console, auto_refresh=False, transient=False)

    def __enter__(self) -> Self:
        threading.Thread(target=self._learn, name="usual", daemon=True).start()
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._paint(self._rows, "")
            self._live.stop()

    def _with_eta(self, row: Row, now: float) -> Row:
        learned = self._watch.job_eta(row, now) if row.state == "running" else None
        return row if learned is None else replace(row, eta_seconds=learned, learned=True)

    def _learn(self) -> None:
        with suppress(AtbError):  # an unknown time is left out
            self._watch.usual = self._usual()

    def show(self, rows: Sequence[Row], note: str = "") -> None:
        """Show the rows as they are now; ``note`` is one line about what the launcher itself waits for."""
        now = self._clock()
        self._watch.see(rows, now)
        rows = [self._with_eta(row, now) for row in rows]
        if not self._console.is_terminal:
            self._tell(rows, note)
            return
        self._rows = rows
        if self._clock() - self._painted >= _REFRESH_SECONDS:
            self._painted = self._clock()
            self._paint(rows, note)

    def _paint(self, rows: Sequence[Row], note: str) -> None:
        head = Text.assemble((self._title, "bold"), "  ", summary_line(rows))
        width, height = self._console.width, self._console.height - 6
        table = list(row_lines(rows, width=width, height=height))
        if why := cut_reasons(rows, table)[:_MOST_REASONS]:
            taken = sum(-(-len(line) // width) for line in why)
            table = list(row_lines(rows, width=width, height=height - taken))
        lines: list[RenderableType] = [head, Text(self._bar(rows)), *map(Text.from_ansi, table)]
        lines += [Text(printable(line, _LONGEST), style="dim", overflow="fold") for line in why]
        if note:
            lines.append(Text(printable(note), style="dim", overflow="ellipsis", no_wrap=True))
        self._live.update(Group(*lines), refresh=True)

    def _tell(self, rows: Sequence[Row], note: str) -> None:
        for line in self._changes.take(rows):
            self._say(line)
        kind = NUMBER.sub("", note)  # counts and seconds change all the time
        if note and kind != self._note:
            self._say(note)
        self._note = kind
        if self._clock() - self._beat >= _HEARTBEAT_SECONDS:
            self._beat = self._clock()
            parts = (self._bar(rows) if rows else "", summary_line(rows), self._changes.retries(), note)
            self._say(" · ".join(filter(None, parts)))

    def _bar(self, rows: Sequence[Row]) -> str:
        return bar_line([row.state for row in rows], self._watch.run_eta(rows, self._clock()))

    def _say(self, line: str) -> None:
        self._console.print(printable(line, _LONGEST), markup=False, highlight=False, soft_wrap=True)
