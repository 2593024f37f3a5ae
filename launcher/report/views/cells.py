"""A table that can be sorted and searched, as plain values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cell:
    """A cell of a table: what it shows, the number that it is sorted by if it is one, and how it looks."""

    text: str
    value: str = ""
    kind: str = ""
    href: str = ""


@dataclass(frozen=True)
class Row:
    """A row of a table; ``id`` is what a link to it names."""

    id: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """A table that can be sorted and searched."""

    name: str
    title: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    empty: str

    def numeric(self, column: int) -> bool:
        """Whether a column holds numbers."""
        return any(row.cells[column].value for row in self.rows)
