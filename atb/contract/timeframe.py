"""A bar's length, and instants on its grid. Times are timezone-aware UTC; milliseconds where integers."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from atb.errors import SpecError

_UNITS_MS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_TIMEFRAME = re.compile(r"([1-9][0-9]{0,5})([mhdw])")
_LONGEST_MS = 366 * 86_400_000
_EARLIEST, _LATEST = 1990, 2200
"""Years between which every instant lies: no bar is older, and arithmetic on both ends stays within a datetime."""
_WEEK_OFFSET_MS = 4 * 86_400_000
"""The epoch is a Thursday and weekly bars open on Mondays."""


def to_ms(timeframe: str) -> int:
    """The length of one bar in milliseconds. Raises SpecError."""
    match = _TIMEFRAME.fullmatch(timeframe)
    if match is None:
        raise SpecError(f"timeframe {timeframe[:40]!a} is not a number and one of m, h, d, w; write 15m, 1h, 4h or 1d")
    length = int(match[1]) * _UNITS_MS[match[2]]
    if length > _LONGEST_MS:
        raise SpecError(f"timeframe {timeframe!r} is longer than a year; write 15m, 1h, 4h or 1d")
    return length


def grid_offset_ms(timeframe: str) -> int:
    """Milliseconds from the epoch to a grid point: bars open at ``offset + k × length``."""
    return _WEEK_OFFSET_MS if timeframe.endswith("w") else 0


def floor(instant: datetime, timeframe: str) -> datetime:
    """The latest point of the timeframe's grid that is not after the instant."""
    length, offset = to_ms(timeframe), grid_offset_ms(timeframe)
    at = epoch_ms(instant)
    return from_epoch_ms(at - (at - offset) % length)


def epoch_ms(instant: datetime) -> int:
    """Whole milliseconds since 1970, exact."""
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def from_epoch_ms(at: int) -> datetime:
    """The UTC instant of a number of milliseconds since 1970."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at)


def parse_instant(text: str, what: str) -> datetime:
    """Parse an ISO date or date-time; without a zone it is UTC. Raises SpecError naming ``what``."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise SpecError(f"{what} {text[:40]!a} is not a date; write 2026-01-31 or 2026-01-31T06:00Z") from None
    return as_utc(instant, what)


def as_utc(instant: datetime, what: str) -> datetime:
    """The instant in UTC, which it is without a zone. Raises SpecError naming ``what`` for a year out of reach."""
    if not _EARLIEST <= instant.year < _LATEST:
        raise SpecError(f"{what} {instant.isoformat()} is not between {_EARLIEST} and {_LATEST}; write 2026-01-31")
    return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).astimezone(UTC)
