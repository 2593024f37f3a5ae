"""The live table of a run, for both backends: plain rows in, a table that is good at 80 columns out."""

from __future__ import annotations

import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from atb.documents.manifest import State
from atb.errors import AtbError
from atb.schema import printable
from atb.table import Cell, Column, table_lines
from launcher.report.eta import Usual, Watch, bar_line, format_eta

STYLES: dict[State, str] = {
    "pending": "yellow",
    "running": "cyan",
    "done": "green",
    "skipped": "dim",
    "failed": "bold red",
    "interrupted": "magenta",
}
_ORDER: tuple[State, ...] = ("failed", "running", "interrupted", "pending", "done", "skipped")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_WIDE = 100
"""Columns from which the node has room."""
_REFRESH_SECONDS = 0.25
_MOST_REASONS = 2
"""Reasons that are shown in full below a live table."""
_MOST_KINDS = 100
"""Kinds of reasons that are printed where nothing is repainted."""
_LONGEST = 2_000
_HEARTBEAT_SECONDS = 60.0
"""How often a run without a terminal prints its state."""
_FEW = 8
"""With more jobs, a run that is not on a terminal does not name every stage of each."""


@dataclass(frozen=True, slots=True)
class Row:
    """One job as a table shows it. ``detail`` is the category, or what it waits for; ``eta_seconds`` may be unknown."""

    job: str
    symbol: str
    preset: str
    state: State
    category: str = ""
    detail: str = ""
    node: str = ""
    epoch: int = 0
    epochs: int = 0
    validation_loss: float | None = None
    eta_seconds: float | None = None
    attempts: int = 0
    learned: bool = False
    """Whether ``eta_seconds`` was learned from how trainings end; else it is what all epochs would take."""


def row_lines(rows: Sequence[Row], *, width: int, height: int | None = None) -> Iterator[str]:
    """A head and one line a row, what needs eyes first; rows beyond ``height`` are counted in the last line."""
    presets, node = len({row.preset for row in rows}) > 1, width >= _WIDE and any(row.node for row in rows)
    columns = [
        Column("symbol", gives=True),
        *([Column("preset")] if presets else []),
        Column("state"),
        Column("reason", gives=True),
        *([Column("node", gives=True)] if node else []),
        *(Column(name, right=True) for name in ("epoch", "val_loss", "ETA", "try")),
    ]
    ordered = sorted(rows, key=lambda row: _ORDER.index(row.state))
    shown = ordered if height is None else ordered[: max(1, height)]
    yield from table_lines(columns, [_cells(row, presets=presets, node=node) for row in shown], width=width)
    if hidden := len(ordered) - len(shown):
        yield f"… and {hidden} more"


def summary_line(rows: Sequence[Row]) -> str:
    """``3 done · 2 running · 1 failed (oom)``."""
    counts = Counter(row.state for row in rows)
    causes = Counter(row.category for row in rows if row.state == "failed" and row.category)
    parts = [f"{counts[state]} {state}" for state in ("done", "skipped", "running", "pending") if counts[state]]
    if counts["interrupted"]:
        parts.append(f"{counts['interrupted']} interrupted")
    if counts["failed"]:
        named = ", ".join(f"{name} {count}" if count > 1 else name for name, count in causes.most_common(4))
        parts.append(f"{counts['failed']} failed" + (f" ({named})" if named else ""))
    return printable(" · ".join(parts)) or "nothing to do"


def waiting_lines(rows: Sequence[Row], seen: Container[str] = ()) -> Iterator[tuple[str, str]]:
    """Why jobs wait, as ``37 jobs: pending (queue): …`` in full, the most frequent first, each with its kind: the
    reason without its numbers. Kinds in ``seen`` are left out."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if row.state == "pending" and row.category:
            groups.setdefault(f"{row.category}: {_NUMBER.sub('', row.detail)}", []).append(row)
    for kind, found in sorted(groups.items(), key=lambda group: -len(group[1])):
        if kind not in seen:
            row = found[0]
            who = row.job if len(found) == 1 else f"{len(found)} jobs"
            yield kind, f"{who}: pending ({row.category}){f': {row.detail}' if row.detail else ''}"


def cut_reasons(rows: Sequence[Row], lines: Sequence[str]) -> list[str]:
    """Why jobs wait, where the table's lines have no room for all of it."""
    shown = "\n".join(lines)
    whole = {f"{row.category}: {_NUMBER.sub('', row.detail)}" for row in rows if printable(row.detail) in shown}
    return [line for _, line in waiting_lines(rows, whole)]


class RunView:
    """Shows a run as it goes: a table that repaints on a terminal, a line for each change of state elsewhere."""

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
        self._printed: dict[str, tuple[State, str]] = {}
        self._kinds: set[str] = set()
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
        for row in rows:
            stage = row.detail if row.state == "running" and len(rows) <= _FEW else ""
            now = (row.state, row.category or stage)
            if self._printed.get(row.job) != now:
                if row.state != "pending" or (row.job in self._printed and not row.category):
                    words = f"{row.job}: {row.state}{f' ({row.category})' if row.category else ''}"
                    self._say(f"{words}{f': {row.detail}' if row.detail else ''}")
                self._printed[row.job] = now
        for kind, line in waiting_lines(rows, self._kinds):
            if len(self._kinds) < _MOST_KINDS:
                self._kinds.add(kind)
                self._say(line)
        kind = _NUMBER.sub("", note)  # counts and seconds change all the time
        if note and kind != self._note:
            self._say(note)
        self._note = kind
        if self._clock() - self._beat >= _HEARTBEAT_SECONDS:
            self._beat = self._clock()
            self._say(" · ".join(filter(None, (self._bar(rows) if rows else "", summary_line(rows), note))))

    def _bar(self, rows: Sequence[Row]) -> str:
        return bar_line([row.state for row in rows], self._watch.run_eta(rows, self._clock()))

    def _say(self, line: str) -> None:
        self._console.print(printable(line, _LONGEST), markup=False, highlight=False, soft_wrap=True)


def _eta(row: Row) -> str:
    text = format_eta(row.eta_seconds) if row.state == "running" else ""
    return text if row.learned or not text else f"≤{text}"


def _cells(row: Row, *, presets: bool, node: bool) -> list[str | Cell]:
    reason = f"{row.category}: {row.detail}" if row.category and row.detail else row.category or row.detail
    return [
        row.symbol,
        *([row.preset] if presets else []),
        Cell(row.state, STYLES[row.state]),
        reason,
        *([row.node] if node else []),
        f"{row.epoch}/{row.epochs}" if row.epochs else "",
        f"{row.validation_loss:.4g}" if row.validation_loss is not None else "",
        _eta(row),
        str(row.attempts) if row.attempts else "",
    ]
