"""A run's table as it goes, for both backends: plain rows in, a table that is good at 80 columns out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass

from atb.documents.manifest import State
from atb.schema import printable
from atb.table import Cell, Column, table_lines
from launcher.report.eta import format_eta

STYLES: dict[State, str] = {
    "pending": "yellow",
    "running": "cyan",
    "done": "green",
    "skipped": "dim",
    "failed": "bold red",
    "interrupted": "magenta",
}
_ORDER: tuple[State, ...] = ("failed", "running", "interrupted", "pending", "done", "skipped")
NUMBER = re.compile(r"\d+(?:\.\d+)?")
_WIDE = 100
"""Columns from which the node has room."""


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
    """A head and one line per row, what needs attention first; rows beyond ``height`` are counted in the last line."""
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
            groups.setdefault(f"{row.category}: {NUMBER.sub('', row.detail)}", []).append(row)
    for kind, found in sorted(groups.items(), key=lambda group: -len(group[1])):
        if kind not in seen:
            row = found[0]
            who = row.job if len(found) == 1 else f"{len(found)} jobs"
            yield kind, f"{who}: pending ({row.category}){f': {row.detail}' if row.detail else ''}"


def cut_reasons(rows: Sequence[Row], lines: Sequence[str]) -> list[str]:
    """Why jobs wait, where the table's lines have no room for all of it."""
    shown = "\n".join(lines)
    whole = {f"{row.category}: {NUMBER.sub('', row.detail)}" for row in rows if printable(row.detail) in shown}
    return [line for _, line in waiting_lines(rows, whole)]


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
