"""Bars as a DataFrame, and back."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from atb.api.stores import StoreLike, find_store
from atb.errors import DataError
from atb.schema import printable

if TYPE_CHECKING:
    import pandas as pd

    from trainer.bars.frame import Bars


def load_bars(
    symbol: str,
    *,
    source: str = "binance",
    market: str = "spot",
    timeframe: str = "1h",
    days: float | None = None,
    start: str | datetime | None = None,
    as_of: str | datetime | None = None,
    store: StoreLike | None = None,
) -> pd.DataFrame:
    """The checked bars of a symbol: an index ``time`` (opening times, UTC), and open, high, low, close and volume.

    Other numeric columns of the source stand beside them, all float64. ``attrs`` holds the symbol, the timeframe and
    whether the bars are made up. 180 days up to now where neither ``days`` nor ``start`` is given; no bar that closes
    after ``as_of``. Fetched bars are kept in the store. Raises SpecError, DataError, DataNotReady, Unavailable.
    """
    from atb.contract import timeframe as tf
    from atb.contract.spec import resolve_spec
    from trainer.bars.source import open_source

    given = {"source": source, "market": market, "timeframe": timeframe, "days": days, "start": start, "as_of": as_of}
    spec = resolve_spec(symbol, "fast", {name: value for name, value in given.items() if value is not None})
    first, cut = tf.epoch_ms(spec.start), tf.epoch_ms(spec.as_of)
    raw = open_source(spec.source, find_store(store)).fetch(spec.symbol, spec.timeframe, spec.market, first, cut)
    return to_frame(_check(raw, first, cut))


def to_frame(bars: Bars) -> pd.DataFrame:
    """Bars as ``load_bars`` gives them."""
    import pandas as pd

    from trainer.bars.frame import COLUMNS

    columns: dict[str, Any] = {name: bars.values[:, number] for number, name in enumerate(COLUMNS)}
    index = pd.DatetimeIndex(pd.to_datetime(bars.time, unit="ms", utc=True), name="time")
    frame = pd.DataFrame({**columns, **bars.extra}, index=index)
    frame.attrs.update(symbol=bars.symbol, timeframe=bars.timeframe, synthetic=bars.synthetic)
    return frame


def from_frame(frame: pd.DataFrame, symbol: str, timeframe: str) -> Bars:
    """Bars from a DataFrame with the times in its index or in a column, checked as those of a source.

    A last bar that is still open is left out, unless the bars are made up. Raises DataError for a missing column, times
    that can't be read, bars of another timeframe, or columns that are neither numbers nor text.
    """
    import time

    import pandas as pd
    import pyarrow as pa

    from trainer.bars.files.table import bars_from_table

    if not isinstance(frame, pd.DataFrame):
        raise DataError(f"bars must be a pandas DataFrame, not a {type(frame).__name__}")
    held = frame.attrs.get("timeframe", timeframe)
    if held != timeframe:
        raise DataError(f"the model reads {timeframe} bars, but was given {held} bars")
    named = frame.rename_axis("time") if frame.index.name is None and frame.index.dtype.kind == "M" else frame
    try:
        table = pa.Table.from_pandas(named.reset_index() if any(named.index.names) else named, preserve_index=False)
    except (pa.ArrowException, TypeError, ValueError) as error:
        reason = printable(str(error.args[0] if error.args else error))
        raise DataError(f"the DataFrame can't be read: {reason}; give columns of numbers, each name once") from None
    raw = bars_from_table(table, symbol, timeframe, "the DataFrame")
    if not len(raw):
        raise DataError("the DataFrame has no rows")
    end = int(raw.time.max()) + raw.step_ms
    return _check(raw, int(raw.time.min()), end if frame.attrs.get("synthetic") else min(end, int(time.time() * 1000)))


def _check(raw: Bars, start_ms: int, as_of_ms: int) -> Bars:
    """The good rows. Raises DataError where they are not of one series of this timeframe, or none is good."""
    from trainer.bars.check import check_bars, validate_series, validate_values

    bars, report = check_bars(raw, start_ms, as_of_ms)
    validate_series(report)
    if not len(bars):
        validate_values(report)
    return bars
