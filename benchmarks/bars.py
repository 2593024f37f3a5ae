"""Which bars a benchmark reads: those of ``--bars``, or made-up ones where speed alone is measured."""

from __future__ import annotations

import argparse
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd

from atb.contract import timeframe as tf
from trainer.bars.frame import COLUMNS
from trainer.bars.sample import SampleSource

_BESIDE = Path("../shared/bars/perp")
_SYMBOLS = (
    "ADAUSDT", "APTUSDT", "BNBUSDT", "BTCUSDT", "DOGEUSDT", "ETHUSDT", "LINKUSDT", "LTCUSDT", "RENDERUSDT", "SOLUSDT",
    "TRXUSDT", "XRPUSDT",
)  # fmt: skip


def add_bars(parser: argparse.ArgumentParser) -> None:
    """Add ``--bars``."""
    parser.add_argument("--bars", type=Path, help="a folder of real hourly bars, as SYMBOL_1h.parquet files")


def real_bars(requested: Path | None) -> Path:
    """The folder of real bars. Ends the process in one line where there is none."""
    folder = requested or _BESIDE
    if not any(folder.glob("*_1h.parquet")):
        where = "" if requested is None else f" in {requested}"
        sys.exit(f"this measures real markets and there are no SYMBOL_1h.parquet files{where}; name a folder by --bars")
    return folder


def any_bars(requested: Path | None, scratch: Path, start: datetime, stop: datetime) -> Path:
    """The folder of real bars or, where none is named and none lie beside the repository, made-up ones of the window,
    written to ``scratch``."""
    if requested is not None or _BESIDE.is_dir():
        return real_bars(requested)
    print("on made-up bars; name real ones by --bars")
    for symbol in _SYMBOLS:
        begin = tf.epoch_ms(start - timedelta(days=10))
        bars = SampleSource().fetch(symbol, "1h", "spot", begin, tf.epoch_ms(stop))
        frame = pd.DataFrame(bars.values, columns=list(COLUMNS))
        frame.insert(0, "timestamp", pd.to_datetime(bars.time, unit="ms", utc=True))
        frame.to_parquet(scratch / f"{symbol}_1h.parquet")
    return scratch
