"""Forecasts at each bar's close, for as long as the process runs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import NoReturn

from atb.clock import Clock
from atb.contract import timeframe as tf
from atb.documents.champion import Champion
from atb.errors import DataError, DataNotReady, Unavailable
from trainer.serve.forecasts import Forecasts, NoForecast, Row

log = logging.getLogger(__name__)

_PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Seconds between two checks for a bar that has just closed; the last repeats."""
_LONGEST_PAUSE = 60.0
"""Seconds: a clock that is set while we wait is noticed by then."""
_SILENT_SECONDS = 10.0
"""A bar is often some seconds late: no word about it until then."""
_WRITTEN_SECONDS = 30.0
"""How long a file may take to be written."""
_LATER = {DataNotReady.exit_code, Unavailable.exit_code}

Find = Callable[[], tuple[Sequence[Champion], Sequence[NoForecast]]]
"""The champions that forecast now, and those that can't be read."""
Show = Callable[[Sequence[Row]], None]


def follow(find: Find, forecasts: Forecasts, show: Show, clock: Clock) -> NoReturn:
    """Show the forecasts of the latest closed bars, then those of each bar as it closes, until the process is stopped.

    Champions are looked up at each close, so one that was promoted meanwhile forecasts from the next bar on. A bar that
    the source does not have yet is waited for, at most until the next one closes, which the log says; what is there is
    shown at once. Bars that can't be used are read again for half a minute: a file may just be being written.
    """
    since = _EARLIEST
    champions: Sequence[Champion] = ()
    while True:
        unreadable: Sequence[NoForecast] = ()
        try:
            champions, unreadable = find()
        except Unavailable as error:
            log.warning("%s; continuing with the models that are loaded", error)
        now = tf.from_epoch_ms(int(clock.now() * 1_000))
        due = [each for each in champions if tf.floor(now, each.timeframe) > since]
        close = max((tf.floor(now, each.timeframe) for each in due), default=now)
        until = next_close(now, {each.timeframe for each in champions} or {_IDLE})
        if unreadable:
            show(unreadable)
        if not champions and not unreadable and since == _EARLIEST:
            log.warning("no champions yet; waiting for one")
        _show_each(due, forecasts, show, clock, close, until)
        since = now
        _sleep_until(until, clock)


def next_close(now: datetime, timeframes: Iterable[str]) -> datetime:
    """When the next bar of any of the timeframes closes."""
    return min(tf.floor(now, each) + timedelta(milliseconds=tf.to_ms(each)) for each in timeframes)


_EARLIEST = tf.from_epoch_ms(0)
_IDLE = "1m"
"""How often a store without champions is looked at."""


def _show_each(
    due: Sequence[Champion], forecasts: Forecasts, show: Show, clock: Clock, close: datetime, until: datetime
) -> None:
    """Show each row once: as soon as it is there, or as a failure once that is certain or ``until`` has come."""
    pauses, began, silent = iter(_PAUSES), clock.now(), True
    while due:
        rows = forecasts.make(due, close, tf.from_epoch_ms(int(clock.now() * 1_000)))
        pause = next(pauses, _PAUSES[-1])
        last = clock.now() + pause >= until.timestamp()
        waited = clock.now() - began
        late = [] if last else [row for row in rows if isinstance(row, NoForecast) and _may_come(row, waited)]
        ready = [row for row in rows if row not in late]
        if ready:
            show(ready)
        if late and silent and waited >= _SILENT_SECONDS:
            silent = False
            log.warning("waiting for %s: %s", _count(late), late[0].problem)
        due = [each for each, row in zip(due, rows, strict=True) if row in late]
        if due:
            clock.sleep(pause)


def _may_come(row: NoForecast, waited: float) -> bool:
    return row.exit_code in _LATER or (row.exit_code == DataError.exit_code and waited < _WRITTEN_SECONDS)


def _count(late: Sequence[NoForecast]) -> str:
    return late[0].model + (f" and {len(late) - 1} more" if len(late) > 1 else "")


def _sleep_until(instant: datetime, clock: Clock) -> None:
    while (left := instant.timestamp() - clock.now()) > 0:
        clock.sleep(min(left, _LONGEST_PAUSE))
