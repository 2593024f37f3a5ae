"""The archive's files as Binance writes them: 12 columns, in a zip, with a sha256 beside it."""

from __future__ import annotations

import hashlib
import io
import zipfile
from typing import Any

from trainer.bars.frame import Bars

HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"
)
MICROSECONDS_SINCE_MS = 1_735_689_600_000
"""2025-01-01: from here on spot files count microseconds."""


def kline_rows(bars: Bars) -> list[list[Any]]:
    """Rows as REST answers: times in milliseconds, numbers as text."""
    step = bars.step_ms
    return [
        [time, *map(repr, map(float, row)), time + step - 1, repr(row[4] * row[3]), int(row[4]) % 1000,
         repr(row[4] / 2), repr(row[4] * row[3] / 2), "0"]
        for time, row in zip(bars.time.tolist(), bars.values.tolist(), strict=True)
    ]  # fmt: skip


def csv_text(bars: Bars, *, header: bool, microseconds: bool) -> str:
    """The file's text."""
    lines = [HEADER] if header else []
    for row in kline_rows(bars):
        if microseconds:
            row[0], row[6] = row[0] * 1000, (row[6] + 1) * 1000 - 1
        lines.append(",".join(str(cell) for cell in row))
    return "\n".join(lines) + "\n"


def zip_bytes(name: str, text: str) -> bytes:
    """A zip with one member; the same text gives the same bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(name.replace(".zip", ".csv"), (2026, 1, 1, 0, 0, 0)), text)
    return out.getvalue()


def checksum_text(name: str, data: bytes) -> str:
    """What lies in NAME.CHECKSUM."""
    return f"{hashlib.sha256(data).hexdigest()}  {name}\n"
