"""What a run's page shows of a comparison of presets: the tables that ``atb compare`` prints."""

from __future__ import annotations

from dataclasses import dataclass

from atb.comparison import REFERENCE, TOLERANCE, Row, quality_table, stage_table, symbol_table
from atb.contract import keys
from atb.documents.comparison import Comparison
from launcher.report.views.model_details import link_to


@dataclass(frozen=True)
class ComparedTable:
    """A table; the first cell of each row names it."""

    caption: str
    head: Row
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Compared:
    """The presets of a run, compared on the same rows and seed."""

    words: str
    tables: tuple[ComparedTable, ...]
    picture: str
    document: str


def build_compared(comparison: Comparison) -> Compared:
    """The section of a run's page."""
    rows = ", ".join(f"{symbol} {count:,}" for symbol, count in comparison.rows.items())
    words = f"All presets, with seed {comparison.seed}, on the test rows that each of them can answer: {rows}."
    if REFERENCE in comparison.presets:
        words += (
            f" Errors are shares of {REFERENCE}'s: below 100% is better than {REFERENCE}. Within {TOLERANCE:.0%}: no "
            f"error is above {1 / (1 - TOLERANCE):.1%}."
        )
    tables = (
        ("Seconds by stage, and memory", stage_table(comparison)),
        ("Errors and skill, the mean over symbols", quality_table(comparison)),
        ("By symbol", symbol_table(comparison)),
    )
    return Compared(
        words,
        tuple(ComparedTable(caption, table[0], tuple(table[1:])) for caption, table in tables),
        link_to(comparison.run, keys.comparison(comparison.run, "png")),
        link_to(comparison.run, keys.comparison(comparison.run, "json")),
    )
