"""Months of bars in the store."""

from __future__ import annotations

import dataclasses
import threading

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from atb.storage import MemoryStore, Store
from tests.trainer.bars.builders import HOUR, T0, bars_at
from trainer.bars.cache.month_cache import CachedMonth, MonthCache
from trainer.bars.cache.months import Month, Series, day_name, months_between
from trainer.bars.frame import empty_bars

NOVEMBER, DECEMBER = Month(2023, 11), Month(2023, 12)
BARS = dataclasses.replace(bars_at([0, 1, 1, 2.5]), extra={"trades": np.arange(4.0)})


def cache_in(store: Store, symbol: str = "XUSDT") -> MonthCache:
    return MonthCache(store, "binance", Series("spot", symbol, "1h"))


def test_months_and_days_are_those_of_the_calendar() -> None:
    assert [month.name for month in months_between(NOVEMBER.start_ms, Month(2024, 2).start_ms)] == [
        "2023-11", "2023-12", "2024-01",
    ]  # fmt: skip
    assert months_between(5, 5) == []
    assert day_name(NOVEMBER.start_ms + 86_400_000) == "2023-11-02"


def test_a_month_comes_back_row_for_row_from_every_store(store: Store) -> None:
    cache = cache_in(store)
    assert cache.read(NOVEMBER) is None
    cache.write(NOVEMBER, CachedMonth(BARS, NOVEMBER.end_ms, "monthly", "ab" * 32))
    found = cache.read(NOVEMBER)
    assert found is not None
    assert found.bars.digest == BARS.digest
    assert (found.covers_until_ms, found.origin, found.checksum) == (NOVEMBER.end_ms, "monthly", "ab" * 32)


def test_a_month_without_bars_is_remembered_too() -> None:
    cache = cache_in(MemoryStore())
    cache.write(NOVEMBER, CachedMonth(empty_bars("XUSDT", "1h"), NOVEMBER.end_ms, "parts"))
    found = cache.read(NOVEMBER)
    assert found is not None
    assert len(found.bars) == 0


def test_a_month_is_plain_parquet_with_an_explicit_schema() -> None:
    store = MemoryStore()
    cache = cache_in(store)
    cache.write(NOVEMBER, CachedMonth(BARS, NOVEMBER.end_ms, "parts"))
    file = pq.ParquetFile(pa.BufferReader(store.get(cache.key(NOVEMBER))))
    kinds = {field.name: str(field.type) for field in file.schema_arrow}
    assert kinds == {"timestamp": "timestamp[ms, tz=UTC]"} | dict.fromkeys(
        ("open", "high", "low", "close", "volume", "trades"), "double"
    )
    assert file.metadata.row_group(0).column(1).compression == "ZSTD"


@pytest.mark.parametrize("harm", ["cut", "flipped", "foreign", "other symbol", "other rows"])
def test_a_broken_or_foreign_month_is_ignored_and_reported(harm: str, caplog: pytest.LogCaptureFixture) -> None:
    store = MemoryStore()
    cache = cache_in(store)
    cache.write(NOVEMBER, CachedMonth(BARS, NOVEMBER.end_ms, "parts"))
    data = store.get(cache.key(NOVEMBER))
    if harm == "cut":
        data = data[: len(data) // 2]
    elif harm == "flipped":
        data = data[:40] + bytes([data[40] ^ 1]) + data[41:]
    elif harm == "foreign":
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table({"a": [1]}), sink)
        data = sink.getvalue().to_pybytes()
    elif harm == "other symbol":
        other = cache_in(store, "YUSDT")
        other.write(NOVEMBER, CachedMonth(dataclasses.replace(BARS, symbol="YUSDT"), 1, "parts"))
        data = store.get(other.key(NOVEMBER))
    else:
        table = pq.read_table(pa.BufferReader(data))
        sink = pa.BufferOutputStream()
        pq.write_table(table.slice(1), sink)
        data = sink.getvalue().to_pybytes()
    store.put(cache.key(NOVEMBER), data)
    assert cache.read(NOVEMBER) is None
    assert "it is fetched again" in caplog.text


def test_writers_of_the_index_that_meet_lose_nothing(store: Store) -> None:
    months = [Month(2024, number) for number in range(1, 9)]
    found = CachedMonth(BARS, 5, "parts")
    threads = [
        threading.Thread(target=lambda month=month: cache_in(store).note({month: found}, month.end_ms, 7))
        for month in months
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    index = cache_in(store).index()
    assert sorted(index.months) == [month.name for month in months]
    assert index.months["2024-01"].digest == BARS.digest
    assert index.months["2024-01"].cuts == {}


def test_the_index_knows_each_cut_of_a_month_and_when_it_was_last_checked() -> None:
    cache = cache_in(MemoryStore())
    cache.note({NOVEMBER: CachedMonth(BARS.rows(0, 2), 5, "parts")}, T0 + HOUR, checked_ms=7)
    cache.note({NOVEMBER: CachedMonth(BARS, 9, "parts")}, T0 + 2 * HOUR)
    noted = cache.index().months["2023-11"]
    assert noted.cuts == {str(T0 + HOUR): BARS.rows(0, 1).digest, str(T0 + 2 * HOUR): BARS.rows(0, 3).digest}
    assert (noted.checked_ms, noted.covers_until_ms, noted.rows) == (7, 9, 4)


def test_a_foreign_cut_in_the_index_is_left_out() -> None:
    cache = cache_in(MemoryStore())
    cache.note({NOVEMBER: CachedMonth(BARS, NOVEMBER.end_ms, "parts")}, T0 + HOUR)
    index = cache.index()
    month = index.months["2023-11"]
    cuts = {**month.cuts, **dict.fromkeys(("", "x", "-1", "\u0661", "1e3", "9" * 5_000), "d")}
    foreign = index.model_copy(update={"months": {"2023-11": month.model_copy(update={"cuts": cuts})}})
    cache._store.put("bars/binance/spot/XUSDT/1h/index.json", foreign.to_bytes())
    cache.note({NOVEMBER: CachedMonth(BARS, NOVEMBER.end_ms, "parts")}, T0 + 2 * HOUR)
    assert set(cache.index().months["2023-11"].cuts) == {str(T0 + HOUR), str(T0 + 2 * HOUR)}


def test_a_broken_index_is_written_anew(caplog: pytest.LogCaptureFixture) -> None:
    store = MemoryStore()
    store.put("bars/binance/spot/XUSDT/1h/index.json", b"{")
    cache = cache_in(store)
    cache.note({NOVEMBER: CachedMonth(BARS, 5, "parts")}, NOVEMBER.end_ms, 7)
    assert list(cache.index().months) == ["2023-11"]
    assert "it is written again" in caplog.text
