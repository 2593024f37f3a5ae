"""``python -m tests.exchange FOLDER [PORT]``: serve a folder of Parquet bars until interrupted."""

from __future__ import annotations

import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

from atb.storage import MemoryStore
from tests.exchange.server import serve_exchange
from trainer.bars.files import FilesSource
from trainer.bars.frame import Bars


def main(folder: str, port: int) -> None:
    """Serve every SYMBOL_TIMEFRAME.parquet of the folder on each market."""
    source = FilesSource(folder, MemoryStore())
    bars: dict[tuple[str, str], Bars] = {}
    for path in sorted(Path(folder).glob("*_*.parquet")):
        symbol, timeframe = path.stem.rsplit("_", 1)
        for market in ("spot", "um", "cm"):
            bars[market, symbol] = source.fetch(symbol, timeframe, market, 0, 2**62)
    with serve_exchange(bars, datetime.now(UTC), port) as exchange:
        print(f"ATB_BINANCE_ARCHIVE_URL={exchange.url} ATB_BINANCE_REST_URL={exchange.url}", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 0)
