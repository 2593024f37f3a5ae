"""Tables as lines of text: for terminals, pipes and live views alike, as quick for ten thousand rows as for ten."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from atb.schema import printable

STYLES = {
    "bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "magenta": "35", "cyan": "36",
    "bold red": "1;31",
}  # fmt: skip
"""The terminal's codes, by name."""
_LONGEST = 2_000
_NARROWEST = 8
"""The columns kept of a shortened cell."""


@dataclass(frozen=True, slots=True)
class Column:
    """``right``: numbers. ``gives``: is cut with … where the table is wider than the terminal."""

    name: str
    right: bool = False
    gives: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell with a style, one of STYLES."""

    text: str
    style: str = ""


def table_lines(
    columns: Sequence[Column], rows: Sequence[Sequence[str | Cell]], *, width: int | None = None
) -> Iterator[str]:
    """The head and one line per row, columns as wide as their widest cell. With ``width`` no line is wider, as far as
    the columns that give way allow. Text is shown without control characters; styles are the terminal's codes."""
    cells = [[_plain(cell) for cell in row] for row in rows]
    heads = [column.name for column in columns]
    widths = [max(map(_width, column)) for column in zip(heads, *cells, strict=True)]
    if width is not None:
        widths = _fit(columns, widths, width)
    last = len(columns) - 1
    yield _line(columns, widths, heads, [""] * len(heads), last)
    for row, texts in zip(rows, cells, strict=True):
        yield _line(columns, widths, texts, [cell.style if isinstance(cell, Cell) else "" for cell in row], last)


def style(text: str, name: str) -> str:
    """The text between the terminal's codes of a style."""
    return f"\x1b[{STYLES[name]}m{text}\x1b[0m" if name and text else text


def _plain(cell: str | Cell) -> str:
    text = cell.text if isinstance(cell, Cell) else cell
    return text if text.isascii() and text.isprintable() and len(text) < _LONGEST else printable(text, _LONGEST)


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(each) else 2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text
    )


def _fit(columns: Sequence[Column], widths: list[int], width: int) -> list[int]:
    widths = list(widths)
    while sum(widths) + 2 * (len(widths) - 1) > width:
        giving = [place for place, column in enumerate(columns) if column.gives and widths[place] > _NARROWEST]
        if not giving:
            break
        widest = max(giving, key=lambda place: widths[place])
        widths[widest] -= 1
    return widths


def _line(
    columns: Sequence[Column], widths: Sequence[int], texts: Sequence[str], styles: Sequence[str], last: int
) -> str:
    parts = []
    for place, (column, room, text, name) in enumerate(zip(columns, widths, texts, styles, strict=True)):
        width = len(text) if text.isascii() else _width(text)
        if width > room:
            text = _cut(text, room)
            width = _width(text)
        space = " " * (room - width)
        shown = style(text, name) if name else text
        parts.append(f"{space}{shown}" if column.right else shown if place == last else f"{shown}{space}")
    return "  ".join(parts).rstrip()


def _cut(text: str, room: int) -> str:
    while text and _width(text) > room - 1:
        text = text[:-1]
    return f"{text}…"
