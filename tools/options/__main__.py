"""Write the table of options, the reference and the documents' schemas."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

from atb.options.table import TABLE, Row, table
from tools.options.reference import reference
from tools.options.rows import as_fields, command_rows, model_rows
from tools.schemas import write_schemas

REFERENCE = Path(__file__).parents[2] / "docs" / "reference.md"


def write_table(rows: list[Row]) -> None:
    """One option a line."""
    TABLE.write_text(table_text(rows), encoding="utf-8")
    table.cache_clear()


def table_text(rows: list[Row]) -> str:
    """The file's text."""
    return "[\n" + ",\n".join(json.dumps(as_fields(row), ensure_ascii=False) for row in rows) + "\n]\n"


def all_rows() -> list[Row]:
    """The models' rows and the commands' own. The commands are made from the table, which must have the former."""
    commands = [importlib.import_module("trainer.cli").atb, importlib.import_module("launcher.cli").atb_launch]
    return [*model_rows(), *(row for command in commands for row in command_rows(command))]


if __name__ == "__main__":
    if not TABLE.exists() or [row for row in table() if row.model] != model_rows():
        write_table(model_rows())
    rows = all_rows()
    write_table(rows)
    REFERENCE.write_text(reference(rows), encoding="utf-8")
    write_schemas()
