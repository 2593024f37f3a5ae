"""Text with one row per line: its encoding, its separator, and whether it names its columns."""

from __future__ import annotations

import codecs
import csv
import io
import re

import pyarrow as pa
import pyarrow.csv

from atb.errors import DataError
from trainer.bars.bounds import WIDEST, bounded, bounded_rows
from trainer.bars.files.columns import show_names
from trainer.bars.rows import ARCHIVE_COLUMNS

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
PLAIN_COLUMNS = ("timestamp", "open", "high", "low", "close", "volume")
"""Of rows without a header and six columns: what exchanges answer with, and ccxt hands on."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_PIECE = 1 << 20
_LINES_LOOKED_AT = 12
_FEWEST_COLUMNS = 5
_EPOCH = re.compile(r"\d{9,19}(\.0*)?")
_CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1f\x7f]")


def read_csv(data: bytes, where: str) -> pa.Table:
    """The table in a text file: any usual encoding and separator, lines of a title before it left out.

    Without a header it has the archive's twelve columns, or time, open, high, low, close and volume. Raises DataError.
    """
    text = to_utf8(data, where)
    bounded(len(text), where)
    head = _first_lines(text)
    skipped, separator = _find_table(head)
    fields = _split(head[skipped][1], separator)
    names = _names_without_header(fields, where)
    if names is None and skipped + 1 < len(head) and _split(head[skipped + 1][1], separator)[0] == "Ticker":
        raise DataError(
            f"{where} has its column names on three lines, {show_names(fields)} first, as yfinance writes them; "
            "download with multi_level_index=False"
        )
    rows = max(text.count(b"\n"), text.count(b"\r"))
    bounded_rows(rows, where)
    bounded((rows + text.count(separator.encode())) * WIDEST, where)  # a value takes more than its one digit in text
    begin = head[skipped][0]
    try:
        table = pa.csv.read_csv(
            pa.BufferReader(memoryview(text)[begin:]),
            read_options=pa.csv.ReadOptions(column_names=list(names) if names else None, use_threads=False),
            parse_options=pa.csv.ParseOptions(delimiter=separator),
        )
    except (pa.ArrowException, UnicodeError, MemoryError) as error:
        raise DataError(f"{where} is not a table of bars: {ascii(str(error).splitlines()[0][:200])[1:-1]}") from None
    bounded_rows(table.num_rows, where)
    return table


def to_utf8(data: bytes, where: str) -> bytes:
    """The text in UTF-8: read by its mark, else as UTF-8, else as Latin-1, which has the same digits. DataError."""
    mark, encoding = next(((mark, name) for mark, name in _MARKS if data.startswith(mark)), (b"", ""))
    data = data[len(mark) :] if mark else data
    if not encoding and b"\0" in data[:200]:
        encoding = "utf-16-le" if data[1:2] == b"\0" else "utf-16-be"
    if not data.isascii() or encoding not in ("", "utf-8"):
        try:
            text = _recode(data, encoding or "utf-8")
        except UnicodeDecodeError as error:
            if encoding:
                raise DataError(f"{where} is not whole {encoding.upper()}: {error.reason}; save it as UTF-8") from None
            text = _recode(data, "latin-1")
        data = data if text == data else text  # the caller's own bytes, so that the copy is freed
    if _CONTROLS.search(data[:4096]):
        raise DataError(f"{where} is not text; give CSV in UTF-8, Parquet or feather")
    return data


def _recode(data: bytes, encoding: str) -> bytes:
    """The text in UTF-8, piece by piece: as one, a text with a single emoji has four bytes for each letter."""
    decoder, text = codecs.getincrementaldecoder(encoding)(), io.BytesIO()
    for begin in range(0, len(data), _PIECE):
        text.write(decoder.decode(data[begin : begin + _PIECE]).encode())
    text.write(decoder.decode(b"", True).encode())
    return text.getvalue()


def _first_lines(text: bytes) -> list[tuple[int, str]]:
    """The first lines that are not empty, each with the byte where it begins."""
    found = []
    for match in re.finditer(rb"[^\r\n]+", text[: 1 << 16]):
        if match[0].strip():
            found.append((match.start(), match[0].decode("utf-8", "replace")))
        if len(found) == _LINES_LOOKED_AT:
            break
    return found or [(0, "")]


def _find_table(head: list[tuple[int, str]]) -> tuple[int, str]:
    """Which of the first lines is the first of the table, and what separates its columns."""
    for number, (_, line) in enumerate(head):
        separator = max(SEPARATORS, key=lambda mark: len(_split(line, mark)))
        if len(_split(line, separator)) >= _FEWEST_COLUMNS:
            return number, separator
    return 0, ","


def _names_without_header(fields: list[str], where: str) -> tuple[str, ...] | None:
    """The columns of rows that begin without a header; None where the first line is one."""
    if not all(_is_number(field) for field in fields[1:6]) or not fields[0][:1].isdigit():
        return None
    names = {len(ARCHIVE_COLUMNS): ARCHIVE_COLUMNS, len(PLAIN_COLUMNS): PLAIN_COLUMNS}.get(len(fields))
    if names is None or not _EPOCH.fullmatch(fields[0]):
        raise DataError(
            f"{where} has no header, and its {len(fields)} columns can't be identified; "
            f"add a first line with their names: {','.join(PLAIN_COLUMNS)}"
        )
    return names


def _split(line: str, separator: str) -> list[str]:
    try:
        return [field.strip() for field in next(csv.reader([line], delimiter=separator), [""])] or [""]
    except csv.Error:
        return [line]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text == ""
    return True
