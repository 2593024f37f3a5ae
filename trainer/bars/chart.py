"""Bars as a picture: candles, volume, and every gap marked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from atb.errors import SpecError
from trainer.bars.frame import CLOSE, HIGH, LOW, OPEN, VOLUME, Bars, gaps
from trainer.date_axis import set_date_axis

MOST_CANDLES = 500
"""More candles would blur: neighbouring bars are drawn as one."""
_UP, _DOWN, _GAP = "#2a9d6f", "#c8503c", "#e0a030"
_MS_A_DAY = 86_400_000


def draw_bars(bars: Bars, path: Path, title: str) -> None:
    """Write a PNG, its folder made where it is not there. Raises SpecError where the file can't be written."""
    drawn = thin_bars(bars, MOST_CANDLES)
    figure = Figure(figsize=(14, 7), layout="constrained")
    prices, volumes = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    days = drawn.time / _MS_A_DAY
    width = max(float(np.median(np.diff(days))) if len(drawn) > 1 else 1.0, 1e-6)
    rising = drawn.values[:, CLOSE] >= drawn.values[:, OPEN]
    for which, colour in ((rising, _UP), (~rising, _DOWN)):
        at, rows = days[which], drawn.values[which]
        prices.vlines(at, rows[:, LOW], rows[:, HIGH], color=colour, linewidth=0.8)
        bottom = np.minimum(rows[:, OPEN], rows[:, CLOSE])
        prices.bar(at, np.abs(rows[:, CLOSE] - rows[:, OPEN]), 0.7 * width, bottom=bottom, color=colour)
        volumes.bar(at, rows[:, VOLUME], 0.8 * width, color=colour)
    for start, stop in gaps(bars):
        for axes in (prices, volumes):
            axes.axvspan(start / _MS_A_DAY, stop / _MS_A_DAY, color=_GAP, alpha=0.4, label="gap")
    prices.set_title(title)
    prices.set_ylabel("price")
    volumes.set_ylabel("volume")
    if gaps(bars):
        handles, _ = prices.get_legend_handles_labels()
        prices.legend(handles[:1], ["gap"], loc="upper left")
    prices.grid(alpha=0.2)
    set_date_axis(volumes, drawn.time.astype("datetime64[ms]"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=110)
    except OSError as error:
        raise SpecError(f"{path} can't be written: {error.strerror}; name another --folder") from None


def thin_bars(bars: Bars, most: int) -> Bars:
    """At most ``most`` candles: equal runs of bars made one, with their first open, last close and total volume."""
    run = -(-len(bars) // most)
    if run <= 1:
        return bars
    starts = np.arange(0, len(bars), run)
    ends = np.minimum(starts + run, len(bars)) - 1
    values = np.column_stack(
        [
            bars.values[starts, OPEN],
            np.maximum.reduceat(bars.values[:, HIGH], starts),
            np.minimum.reduceat(bars.values[:, LOW], starts),
            bars.values[ends, CLOSE],
            np.add.reduceat(bars.values[:, VOLUME], starts),
        ]
    )
    return Bars(bars.symbol, bars.timeframe, bars.time[starts], values, synthetic=bars.synthetic)
