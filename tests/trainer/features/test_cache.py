"""Features in the store."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from atb.contract import keys
from atb.storage import MemoryStore, Store
from tests.trainer.bars.conftest import ms
from trainer.bars.sample import SampleSource
from trainer.features.cache import load_features
from trainer.features.sets import compute_features, feature_hash, feature_set

BARS = SampleSource().fetch("BTCUSDT", "1h", "spot", ms("2025-01-01"), ms("2025-01-20"))
CLASSIC = feature_set("classic")
KEY = keys.features(feature_hash(CLASSIC), "BTCUSDT", "1h", BARS.digest)


def test_the_second_time_they_come_from_the_store_bit_for_bit(store: Store) -> None:
    computed, cached = load_features(CLASSIC, BARS, store)
    again, from_store = load_features(CLASSIC, BARS, store)
    assert (cached, from_store) == (False, True)
    assert np.array_equal(again, computed, equal_nan=True)
    assert again.dtype == np.float32
    assert again.flags.c_contiguous


def test_other_bars_and_other_sets_have_keys_of_their_own() -> None:
    store = MemoryStore()
    extra = dataclasses.replace(BARS, extra={"rate": np.ones(len(BARS))})
    for features, bars in [
        (CLASSIC, BARS),
        (CLASSIC, BARS.rows(1, len(BARS))),
        (feature_set("relative"), BARS),
        (feature_set("classic,+rate"), extra),
    ]:
        assert load_features(features, bars, store)[1] is False
    assert len(list(store.list("features/"))) == 4


@pytest.mark.parametrize("harm", ["cut", "foreign", "another's", "one number"])
def test_a_broken_or_foreign_file_is_never_trusted_and_replaced(harm: str, caplog: pytest.LogCaptureFixture) -> None:
    store = MemoryStore()
    load_features(CLASSIC, BARS, store)
    data = store.get(KEY)
    if harm == "cut":
        data = data[:-10]
    elif harm == "foreign":
        data = _parquet(pa.table({"a": [1.0]}))
    elif harm == "another's":
        other = SampleSource().fetch("ETHUSDT", "1h", "spot", ms("2025-01-01"), ms("2025-01-20"))
        load_features(CLASSIC, other, store)
        data = store.get(keys.features(feature_hash(CLASSIC), "ETHUSDT", "1h", other.digest))
    else:
        table = pq.read_table(pa.BufferReader(data))
        close = table["close"].to_numpy().copy()
        close[100] += 1
        data = _parquet(table.set_column(3, "close", pa.array(close, pa.float32())))
    store.put(KEY, data)
    found, cached = load_features(CLASSIC, BARS, store)
    assert not cached
    assert np.array_equal(found, compute_features(CLASSIC, BARS), equal_nan=True)
    assert "it is made again" in caplog.text
    assert load_features(CLASSIC, BARS, store)[1]


def _parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return bytes(sink.getvalue().to_pybytes())
