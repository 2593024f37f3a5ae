"""Whether the origin of bars is unchanged, without reading bars."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from atb.contract import keys
from atb.documents.bars_index import BarsIndex, IndexedMonth
from atb.storage import DirectoryStore, MemoryStore, Store
from atb.storage.fingerprints import changed_origin

MONTH = keys.bars_month("binance", "spot", "BTCUSDT", "1h", "2025-01")


def put_index(store: Store, digest: str) -> None:
    month = IndexedMonth(digest=digest, rows=744, covers_until_ms=1, checked_ms=1, cuts={"5": "early"})
    store.put(keys.bars_index("binance", "spot", "BTCUSDT", "1h"), BarsIndex(months={"2025-01": month}).to_bytes())


def test_a_cached_month_is_compared_by_the_index_alone(store: Store) -> None:
    put_index(store, "abc")
    assert changed_origin({MONTH: "abc", "sample": "sample"}, store) is None
    assert changed_origin({MONTH: "abd"}, store) == f"{MONTH} has changed"
    assert changed_origin({f"{MONTH}@5": "early"}, store) is None
    assert changed_origin({f"{MONTH}@6": "early"}, store) == f"{MONTH}@6 has changed"


def test_what_is_not_known_counts_as_changed() -> None:
    store = MemoryStore()
    assert changed_origin({}, store) == "what the bars were read from is not known"
    assert changed_origin({MONTH: "abc"}, store) == f"{MONTH} has changed"
    store.put(keys.bars_index("binance", "spot", "BTCUSDT", "1h"), b"broken")
    assert changed_origin({MONTH: "abc"}, store) == f"{MONTH} has changed"
    assert changed_origin({"file:/nowhere": "1-2"}, store) == "file:/nowhere has changed"
    assert changed_origin({"store:mine/X.csv": "e"}, store) == "store:mine/X.csv has changed"


def test_a_hundred_symbols_of_a_year_take_one_small_read_each(tmp_path: Path) -> None:
    class Counting(DirectoryStore):
        reads = 0

        def get(self, key: str) -> bytes:
            self.reads += 1
            return super().get(key)

    store = Counting(tmp_path)
    for number in range(100):
        months = {
            f"2025-{month:02d}": IndexedMonth(digest=f"{number}", rows=744, covers_until_ms=1, checked_ms=1)
            for month in range(1, 13)
        }
        store.put(keys.bars_index("binance", "spot", f"S{number}USDT", "1h"), BarsIndex(months=months).to_bytes())
    for number in range(100):
        recorded = {
            keys.bars_month("binance", "spot", f"S{number}USDT", "1h", f"2025-{month:02d}"): f"{number}"
            for month in range(1, 13)
        }
        assert changed_origin(recorded, store) is None
    assert store.reads == 100


def test_the_launcher_can_ask_without_numpy_pandas_or_pyarrow() -> None:
    code = "import sys, atb.storage.fingerprints; print({'numpy','pandas','pyarrow'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
