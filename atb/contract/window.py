"""The window of bars that a training uses, from ``days``, ``start``, ``end`` and ``as_of``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from atb.contract import timeframe as tf
from atb.errors import SpecError

WINDOW_OPTIONS = ("days", "start", "end", "as_of")


def resolve_window(
    timeframe: str, preset_days: int, options: Mapping[str, Any], now: datetime
) -> tuple[datetime, datetime]:
    """Start and cut, both on the grid: ``as_of`` or ``end`` or now, and ``start`` or the days before it.

    Raises SpecError where two of them contradict each other, or nothing lies between.
    """
    end, cut = (_instant(options, name) for name in ("end", "as_of"))
    if end and cut and end != cut:
        raise SpecError("--end and --as-of name two different times; give one of them")
    as_of = tf.floor(cut or end or now, timeframe)
    start = _instant(options, "start")
    if start and options.get("days") is not None:
        raise SpecError("--start and --days both say where the window begins; give one of them")
    if start is None:
        days = _number(options.get("days", preset_days))
        start = tf.as_utc(as_of - timedelta(days=days), "the window's start")
    start = tf.floor(start, timeframe)
    if start >= as_of:
        raise SpecError(f"the window is empty: it starts at {start:%Y-%m-%d %H:%M} and ends at {as_of:%Y-%m-%d %H:%M}")
    return start, as_of


def _instant(options: Mapping[str, Any], name: str) -> datetime | None:
    value = options.get(name)
    what = f"--{name.replace('_', '-')}"
    if isinstance(value, datetime):
        return tf.as_utc(value, what)
    return None if value is None else tf.parse_instant(str(value), what)


def _number(value: Any) -> float:
    try:
        days = float(value)
    except (TypeError, ValueError):
        days = math.nan
    if not 0 < days <= 36_500:
        raise SpecError(f"days {str(value)[:40]!a} is not a number above 0; write --days 180")
    return days
