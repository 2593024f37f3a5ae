"""How much a file of bars may hold: a few bytes can be packed to unpack to anything."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from pathlib import Path
from typing import IO, cast

from atb.errors import DataError

MOST_BYTES = 2**29
"""Of a file, packed or unpacked: minute bars of eight years as text."""
WIDEST = 8
"""Bytes of a number or time."""
MOST_ROWS = 10_000_000
"""Minute bars of 19 years."""
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Ways of packing a zip that are unpacked piece by piece. Of others ``zipfile`` unpacks 4 KiB to any size at once."""
_PIECE = 1 << 20
_LONGEST_REASON = 200


def bounded(size: int, where: str, most: int = MOST_BYTES) -> None:
    """Raise DataError for more bytes than a file may hold."""
    if size > most:
        raise DataError(f"{where} holds more than {most >> 20} MiB; split it into files by month")


def bounded_rows(rows: int, where: str) -> None:
    """Raise DataError for more rows than a file may hold."""
    if rows > MOST_ROWS:
        raise DataError(f"{where} holds {rows:,} rows, more than {MOST_ROWS:,}; split it into files by month")


def unzip(data: bytes, where: str, most: int = MOST_BYTES) -> bytes:
    """The content of the one file in a zip. Raises DataError likewise."""
    return open_zip(data, where, most)[1]


def open_zip(data: bytes, where: str, most: int = MOST_BYTES) -> tuple[str, bytes]:
    """The name and the content of the one file in a zip. Raises DataError for a broken zip, one of several files, or
    one that holds too much."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = [name for name in archive.namelist() if not name.startswith("__MACOSX/") and not name.endswith("/")]
            if len(names) != 1:
                some = ", ".join(map(ascii, names[:3])) or "none"
                raise DataError(f"{where} holds {len(names)} files and only one is read ({some}); zip a single file")
            if archive.getinfo(names[0]).compress_type not in METHODS:
                raise DataError(f"{where} is packed by bzip2, LZMA or another method; zip it by deflate, the usual one")
            with archive.open(names[0]) as packed:
                return names[0], _read_bounded(packed, where, most)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise DataError(f"{where} is not a complete zip: {ascii(str(error)[:_LONGEST_REASON])[1:-1]}") from None


def validate_archive(file: Path | IO[bytes], most: int) -> None:
    """Raise ValueError for a zip of several files, such as a net's, that unpacks to more than ``most`` bytes or is
    packed in another way than ours are, and for a broken one."""
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
    except zipfile.BadZipFile as error:
        raise ValueError(f"it is no whole zip: {error}") from None
    if any(entry.compress_type not in METHODS for entry in entries):
        raise ValueError("it is packed by bzip2, LZMA or another method, as none of ours is")
    size = sum(entry.file_size for entry in entries)
    if size > most:
        raise ValueError(f"it unpacks to {size:,} bytes, and {most:,} are the most")


def gunzip(data: bytes, where: str, most: int = MOST_BYTES) -> bytes:
    """What is in a gzip. Raises DataError for a broken one, or one that holds too much."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as packed:
            return _read_bounded(cast(IO[bytes], packed), where, most)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{where} is not a complete gzip: {str(error).splitlines()[0]}") from None


def _read_bounded(packed: IO[bytes], where: str, most: int) -> bytes:
    content = io.BytesIO()  # which gives its bytes away without a copy
    while piece := packed.read(_PIECE):
        content.write(piece)
        bounded(content.tell(), where, most)
    return content.getvalue()
