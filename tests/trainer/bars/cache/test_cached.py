"""A source read through the months in the store."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from atb.contract import keys, timeframe
from atb.errors import DataError, NetworkError
from atb.storage import DirectoryStore, MemoryStore, Store
from atb.storage.fingerprints import changed_origin
from tests.trainer.bars.conftest import ms
from trainer.bars.cache.cached import CachedSource
from trainer.bars.cache.month_cache import CachedMonth
from trainer.bars.cache.months import Month, Series
from trainer.bars.frame import Bars, empty_bars, join_bars
from trainer.bars.sample import SampleSource

NOW = ms("2025-03-12T10:00")
START, END = ms("2025-01-10"), NOW


class Twin:
    """An exchange in memory: made-up bars, and the months requested."""

    name = "twin"

    def __init__(self) -> None:
        self.requested: list[str] = []

    def fetch_month(self, series: Series, month: Month, until_ms: int, have: CachedMonth | None) -> CachedMonth:
        self.requested.append(month.name)
        begin = have.covers_until_ms if have else month.start_ms
        if have is not None and begin >= until_ms:
            return have
        fresh = SampleSource().fetch(series.symbol, series.timeframe, series.market, begin, until_ms)
        return CachedMonth(join_bars([have.bars, fresh]) if have else fresh, until_ms, "parts")


def fetch(twin: Twin, store: Store, end: int = END, now: int = NOW) -> Bars:
    return CachedSource(twin, store, lambda: now).fetch("BTCUSDT", "1h", "spot", START, end)


def test_what_comes_out_is_what_the_source_has(store: Store) -> None:
    whole = SampleSource().fetch("BTCUSDT", "1h", "spot", START, END)
    assert fetch(Twin(), store).digest == whole.digest
    assert fetch(Twin(), store).digest == whole.digest


def test_the_second_run_asks_for_nothing_and_a_later_one_for_the_open_month_alone(store: Store) -> None:
    twin = Twin()
    fetch(twin, store)
    assert sorted(twin.requested) == ["2025-01", "2025-02", "2025-03"]
    twin.requested.clear()
    fetch(twin, store)
    assert twin.requested == []
    fetch(twin, store, END + 3_600_000, NOW + 3_600_000)
    assert twin.requested == ["2025-03"]


def test_the_same_cut_gives_the_same_rows_tomorrow() -> None:
    store = MemoryStore()
    today = fetch(Twin(), store)
    fetch(Twin(), store, END + 86_400_000, NOW + 86_400_000)
    assert fetch(Twin(), store, END, NOW + 86_400_000).digest == today.digest
    assert fetch(Twin(), MemoryStore(), END, NOW + 86_400_000).digest == today.digest


def test_jobs_that_need_the_same_months_at_once_fetch_them_once(store: Store) -> None:
    twin, digests = Twin(), []
    threads = [threading.Thread(target=lambda: digests.append(fetch(twin, store).digest)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(twin.requested) == ["2025-01", "2025-02", "2025-03"]
    assert len(digests) == 5
    assert len(set(digests)) == 1


def test_a_broken_month_is_fetched_again_and_the_others_are_not() -> None:
    store, twin = MemoryStore(), Twin()
    before = fetch(twin, store)
    twin.requested.clear()
    store.put(keys.bars_month("twin", "spot", "BTCUSDT", "1h", "2025-02"), b"PAR1 and nothing")
    assert fetch(twin, store).digest == before.digest
    assert twin.requested == ["2025-02"]


def test_months_that_came_are_kept_when_another_one_fails() -> None:
    class Failing(Twin):
        def fetch_month(self, series: Series, month: Month, until_ms: int, have: CachedMonth | None) -> CachedMonth:
            if month.name == "2025-02":
                raise NetworkError("twin did not answer")
            return super().fetch_month(series, month, until_ms, have)

    store, twin = MemoryStore(), Twin()
    with pytest.raises(NetworkError):
        fetch(Failing(), store)
    fetch(twin, store)
    assert "2025-01" not in twin.requested
    assert "2025-02" in twin.requested
    assert [entry.key for entry in store.list("bars/") if entry.key.endswith("claim")] == []


def test_no_bar_at_all_is_a_data_error() -> None:
    class Empty(Twin):
        def fetch_month(self, series: Series, month: Month, until_ms: int, have: CachedMonth | None) -> CachedMonth:
            return CachedMonth(empty_bars(series.symbol, series.timeframe), until_ms, "parts")

    with pytest.raises(DataError, match=r"BTCUSDT 1h: twin has no bars of it \(spot market\) in this window"):
        fetch(Empty(), MemoryStore())


def test_origins_name_each_month_and_hold_while_the_last_one_grows(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    origins = fetch(Twin(), store).origins
    folder = "bars/twin/spot/BTCUSDT/1h"
    last = f"{folder}/2025-03.parquet@{END}"
    assert sorted(origins) == [f"{folder}/2025-01.parquet", f"{folder}/2025-02.parquet", last]
    later = fetch(Twin(), store, END + 3_600_000, NOW + 3_600_000).origins
    assert changed_origin(origins, store) is None
    assert changed_origin(later, store) is None
    assert fetch(Twin(), store, END, NOW + 7_200_000).origins == origins


def test_a_month_that_changes_before_the_cut_is_another_origin() -> None:
    class Changed(Twin):
        def fetch_month(self, series: Series, month: Month, until_ms: int, have: CachedMonth | None) -> CachedMonth:
            found = super().fetch_month(series, month, until_ms, None)
            found.bars.values[5, 4] += 1
            return found

    store = MemoryStore()
    origins = fetch(Twin(), store).origins
    fetch(Changed(), store, END + 3_600_000, NOW + 3_600_000)
    assert changed_origin(origins, store) == f"bars/twin/spot/BTCUSDT/1h/2025-03.parquet@{END} has changed"


def test_now_is_the_clock_of_this_machine_by_default() -> None:
    source = CachedSource(Twin(), MemoryStore())
    year_ahead = timeframe.epoch_ms(datetime(datetime.now(UTC).year + 1, 1, 1, tzinfo=UTC))
    bars = source.fetch("BTCUSDT", "1d", "spot", year_ahead - 400 * 86_400_000, year_ahead)
    assert bars.time[-1] <= timeframe.epoch_ms(datetime.now(UTC))
