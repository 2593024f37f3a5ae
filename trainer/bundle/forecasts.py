"""``forecasts.parquet``: the model's forecast for each validation and test row, and the outcome.

One row per window, ordered by time. ``split`` is ``validation`` (the rows that early stopping and the bands were chosen
on) or ``test`` (those that the numbers of the result are of). ``time`` is the open time of the window's last bar, at
whose close the forecast is made; ``target_time`` that of the bar ``horizon`` bars later. ``forecast``, ``actual`` and
each ``baseline_NAME`` are prices, or volatilities per bar; ``lower_P`` to ``upper_P`` is the band of level P of
``actual_close``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from atb.schema import canonical_json
from trainer.bars.frame import Times
from trainer.evaluate.metrics import Floats
from trainer.evaluate.rows import ForecastRows

_SHOWN_ROWS = 96
_TIME = pa.timestamp("ms", tz="UTC")


def write_forecasts(path: Path, time: Times, validation: ForecastRows, test: ForecastRows) -> None:
    """Write the file. ``time``: open times of all bars in milliseconds, int64[n]."""
    tables = [pa.table(dict(_columns(name, time, part))) for name, part in (("validation", validation), ("test", test))]
    rows = test.rows
    about = {"target": "return" if rows.variance is None else "volatility", "horizon": str(rows.horizon)}
    table = pa.concat_tables(tables).replace_schema_metadata(about)
    pq.write_table(table, path, compression="zstd")


def write_shown(path: Path, time: Times, test: ForecastRows) -> None:
    """The last test rows for the run's page, as JSON: ``time`` in ms, ``close`` with the band of ``level`` from
    ``lower`` to ``upper``, and in the target's own unit ``forecast`` and ``actual``."""
    rows, last = test.rows, slice(-_SHOWN_ROWS, None)
    level = len(test.bands.levels) // 2

    def plain(values: Floats) -> list[float]:
        return _short(values if rows.variance is None else np.exp(values))

    shown: dict[str, Any] = {
        "target": "return" if rows.variance is None else "volatility",
        "time": (time[rows.ends + rows.horizon] + rows.bar_ms)[last].tolist(),
        "close": _short(rows.closes[last]),
        "forecast": plain(test.predicted[last]),
        "actual": plain(rows.actual[last]),
    }
    if test.bands.levels:
        shown |= {"level": test.bands.levels[level]}
        shown |= {"lower": _short(test.bands.lower[last, level]), "upper": _short(test.bands.upper[last, level])}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(canonical_json(shown))


def _short(values: Floats) -> list[float]:
    """Seven digits, which is more than a chart can show."""
    return [float(f"{value:.7g}") for value in values]


def _columns(split: str, time: Times, part: ForecastRows) -> Iterator[tuple[str, Any]]:
    rows = part.rows

    def plain(values: Floats) -> Floats:
        return values if rows.variance is None else np.exp(values)

    yield "split", pa.array([split] * len(rows.ends))
    yield "time", pa.array(time[rows.ends], _TIME)
    yield "target_time", pa.array(time[rows.ends + rows.horizon], _TIME)
    yield "last_close", rows.last
    yield "actual_close", rows.closes
    yield "forecast", plain(part.predicted)
    yield "actual", plain(rows.actual)
    for name in sorted(part.baselines):
        yield f"baseline_{name}", plain(part.baselines[name])
    for number, level in enumerate(part.bands.levels):
        yield f"lower_{level:g}", part.bands.lower[:, number]
        yield f"upper_{level:g}", part.bands.upper[:, number]
