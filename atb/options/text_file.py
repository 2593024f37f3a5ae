"""Text files that a user names: a pipe serves too, and none is read without a bound."""

from __future__ import annotations

from pathlib import Path

MOST_BYTES = 8 << 20
"""Names of symbols, or options: no file of these is nearly so large."""


def read_text_file(name: str | Path) -> str:
    """The text of a file, without a byte order mark. Raises ValueError with the reason."""
    try:
        with Path(name).expanduser().open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ValueError(error.strerror or "it can't be opened") from None
    except RuntimeError:  # of expanduser
        raise ValueError("there is no such user") from None
    if len(data) > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES >> 20} MiB")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not text in UTF-8, at byte {error.start}") from None
