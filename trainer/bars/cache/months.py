"""Calendar months and days in UTC, in milliseconds: what bars are archived and cached by."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from atb.contract import timeframe as tf

DAY_MS = 86_400_000
SETTLED_MS = 2 * DAY_MS
"""A bar that an exchange does not have this long after its close will not come by itself."""


class Series(NamedTuple):
    """Which bars of a source."""

    market: str
    symbol: str
    timeframe: str

    def __str__(self) -> str:
        return f"{self.symbol} {self.timeframe}"


@dataclass(frozen=True, order=True)
class Month:
    """One calendar month."""

    year: int
    number: int

    @property
    def name(self) -> str:
        """``YYYY-MM``."""
        return f"{self.year:04d}-{self.number:02d}"

    @property
    def start_ms(self) -> int:
        """Its first instant."""
        return tf.epoch_ms(datetime(self.year, self.number, 1, tzinfo=UTC))

    @property
    def end_ms(self) -> int:
        """The next month's first instant."""
        return self.next().start_ms

    def next(self) -> Month:
        """The month after."""
        return Month(self.year + self.number // 12, self.number % 12 + 1)


def months_between(start_ms: int, end_ms: int) -> list[Month]:
    """Every month with an instant in ``[start_ms, end_ms)``."""
    first = tf.from_epoch_ms(start_ms)
    month, found = Month(first.year, first.month), []
    while max(month.start_ms, start_ms) < end_ms:
        found.append(month)
        month = month.next()
    return found


def day_name(start_ms: int) -> str:
    """``YYYY-MM-DD``."""
    return f"{tf.from_epoch_ms(start_ms):%Y-%m-%d}"
