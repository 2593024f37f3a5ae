from __future__ import annotations

import math
import random
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from atb.contract import timeframe as tf
from atb.documents.champion import Champion
from atb.documents.record import RecordEntry
from atb.errors import PreconditionFailed
from atb.registry.betting import RECORD_ROWS
from atb.registry.champions import ModelKey, find_model_key, read_champion, read_history, require_champion
from atb.registry.demote import demote, demote_behind
from atb.registry.record import LiveRow, extend_record, is_behind, read_record, scan_records
from atb.storage import MemoryStore, Store
from tests.atb.registry.candidates import HOUR_MS, NOW, commit
from tests.atb.registry.doubles import Death, MortalStore
from tests.atb.registry.test_promote import MODEL_KEY, follow, promote

CUT = int(NOW.timestamp() * 1000)


def live_rows(first: int, count: int, knows: bool, seed: int = 0) -> list[LiveRow]:
    """Hourly rows from the cut on, whose outcome follows the forecast or does not."""
    rng = np.random.default_rng(seed)
    forecast, noise = 0.2 * rng.normal(size=first + count), rng.normal(size=first + count)
    outcome = noise + forecast if knows else noise
    return [
        LiveRow(CUT + row * HOUR_MS, float(forecast[row]), float(outcome[row]), 1.0)
        for row in range(first, first + count)
    ]


def first_champion(store: Store) -> Champion:
    promote(store, commit(store, "r1"))
    return require_champion(store, MODEL_KEY)


def extend(store: Store, champion: Champion, rows: list[LiveRow], run: str = "r2") -> RecordEntry:
    entry = extend_record(store, champion, run, HOUR_MS, rows, {"close": 0.1}, now=NOW)
    assert entry is not None
    return entry


def test_each_live_row_is_scored_once_however_the_nights_overlap(store: Store) -> None:
    champion = first_champion(store)
    assert read_record(store, champion) is None
    rows = live_rows(0, 72, True)
    entries = [extend(store, champion, rows[: 24 * night], f"r{night}") for night in (1, 2, 3)]
    assert [(entry.rows, entry.total_rows) for entry in entries] == [(24, 24), (24, 48), (24, 72)]
    assert extend(store, champion, rows) == entries[-1] == read_record(store, champion)
    errors = [(row.outcome - row.forecast) ** 2 for row in rows]
    assert entries[-1].squares == pytest.approx(sum(errors))
    assert entries[-1].skill == pytest.approx(1 - math.sqrt(sum(errors) / sum(row.outcome**2 for row in rows)))
    assert entries[-1].until == tf.from_epoch_ms(rows[-1].time)


def test_of_many_model_keys_only_symbols_that_have_something_are_asked() -> None:
    class CountingStore(MemoryStore):
        """Counts the pointers that are read."""

        read = 0

        def get_with_etag(self, key: str) -> tuple[bytes, str]:
            self.read += key.endswith("/current.json")
            return super().get_with_etag(key)

        def get(self, key: str) -> bytes:
            self.read += key.endswith("/current.json")
            return super().get(key)

    store = CountingStore()
    first_champion(store)
    many = [ModelKey(f"C{number}USDT", "1h", "fast") for number in range(40)]
    for wanted in ([MODEL_KEY], [*many, MODEL_KEY, MODEL_KEY]):
        store.read = 0
        assert [live.model_key for live in scan_records(store, wanted)] == [MODEL_KEY]
        assert store.read == 1
    assert scan_records(store, many) == []


def test_a_new_champion_begins_a_record_of_its_own() -> None:
    store = MemoryStore()
    champion = first_champion(store)
    extend(store, champion, live_rows(0, 24, True))
    follow(store, "r2", 1)
    newer = require_champion(store, MODEL_KEY)
    assert read_record(store, newer) is None
    entry = extend(store, newer, live_rows(0, 24, True))
    assert (entry.number, entry.rows, entry.total_rows) == (2, 24, 24)


def test_only_the_latest_rows_speak_against_a_champion() -> None:
    store = MemoryStore()
    champion = first_champion(store)
    for night in range(80):
        entry = extend(store, champion, live_rows(24 * night, 24, night < 40))
        assert sum(span.rows for span in entry.window) == min(24 * (night + 1), RECORD_ROWS)
        if night == 39:
            assert not is_behind(entry)
    assert is_behind(entry)
    assert entry.drift == {"close": 0.1}


def test_closes_within_the_champions_bands_are_counted_over_all_its_rows(store: Store) -> None:
    champion = first_champion(store)
    rows = [replace(row, inside={0.5: hour % 2 == 0, 0.95: hour % 24 > 0}) for hour, row in
            enumerate(live_rows(0, 48, True))]  # fmt: skip
    extend(store, champion, rows[:24])
    entry = extend(store, champion, rows)
    assert [(band.level, band.rows, band.inside) for band in entry.bands] == [(0.5, 48, 24), (0.95, 48, 46)]
    assert entry.bands[1].coverage == pytest.approx(46 / 48)
    follow(store, "r2", 1)
    newer = extend(store, require_champion(store, MODEL_KEY), live_rows(0, 24, True))
    assert newer.bands == ()  # a model of an earlier version has no bands


def test_a_demotion_serves_the_predecessor_and_the_history_says_why(store: Store) -> None:
    first_champion(store)
    follow(store, "r2", 1)
    record = extend(store, require_champion(store, MODEL_KEY), live_rows(0, 720, False))
    assert is_behind(record)
    now = demote(store, MODEL_KEY, record, by="me", now=NOW + timedelta(days=1))
    assert now is not None
    assert require_champion(store, MODEL_KEY).run == now.run == "r1"
    entry = read_history(store, MODEL_KEY)[-1].entry
    assert (entry.action, entry.run) == ("demote", "r2")
    assert entry.why.startswith("behind its bar on the latest 720 live rows: e-value ")
    with pytest.raises(PreconditionFailed, match="not that of the present champion"):
        demote(store, MODEL_KEY, record, by="me")


def test_a_champion_without_a_predecessor_is_demoted_to_none_and_can_be_followed(store: Store) -> None:
    champion = first_champion(store)
    record = extend(store, champion, live_rows(0, 720, False))
    assert demote(store, MODEL_KEY, record, by="me", now=NOW + timedelta(days=1)) is None
    assert read_champion(store, MODEL_KEY) is None
    assert [each.effect for each in read_history(store, MODEL_KEY)] == ["replaced", "none serves"]
    assert find_model_key(store, "BTCUSDT", None, None, declined=True) == MODEL_KEY
    promote(store, commit(store, "r2"), 3_000)
    assert require_champion(store, MODEL_KEY).run == "r2"
    assert require_champion(store, MODEL_KEY).fallback is None
    assert [each.effect for each in read_history(store, MODEL_KEY)] == ["replaced", "replaced", "serving"]


def test_kills_at_any_write_of_record_and_demotion_leave_each_row_scored_once() -> None:
    rng = random.Random(3)
    for _ in range(60):
        store = MemoryStore()
        champion = first_champion(store)
        follow(store, "r2", 1)
        champion = require_champion(store, MODEL_KEY)
        rows = live_rows(0, 720, False)
        for _ in range(2):
            try:
                mortal = MortalStore(store, rng.randrange(1, 10), rng.random() < 0.5)
                extend(mortal, champion, rows[:360])
                demote(mortal, MODEL_KEY, extend(mortal, champion, rows), by="me", now=NOW + timedelta(days=1))
            except (Death, PreconditionFailed):
                pass
        record = extend(store, champion, rows)
        assert record.total_rows == 720
        assert record.squares == pytest.approx(sum((row.outcome - row.forecast) ** 2 for row in rows))
        now = read_champion(store, MODEL_KEY)
        assert now is not None
        if now[0].entry == record.champion:
            demote(store, MODEL_KEY, record, by="me", now=NOW + timedelta(days=2))
        assert require_champion(store, MODEL_KEY).run == "r1"


def test_a_horizon_s_overlapping_rows_count_once_against_a_champion() -> None:
    champion = first_champion(MemoryStore()).model_copy(update={"horizon": 24})
    days = np.random.default_rng(5).normal(size=30)
    rows = [LiveRow(CUT + hour * HOUR_MS, -0.3 * float(np.sign(days[hour // 24])), float(days[hour // 24]), 1.0)
            for hour in range(720)]  # fmt: skip
    store = MemoryStore()
    whole = extend_record(store, champion, "r2", HOUR_MS, rows, {})
    single = extend_record(MemoryStore(), champion.model_copy(update={"horizon": 1}), "r2", HOUR_MS, rows[::24], {})
    assert whole is not None
    assert single is not None
    assert whole.log_behind == pytest.approx(single.log_behind, rel=0.05)


def test_a_model_key_of_a_champion_is_its_own() -> None:
    assert ModelKey.of(first_champion(MemoryStore())) == MODEL_KEY


def test_a_run_names_the_champions_behind_their_bar_and_demotes_them_only_on_request(store: Store) -> None:
    extend(store, first_champion(store), live_rows(0, 720, False))
    assert [live.champion is not None for live in scan_records(store, [MODEL_KEY, MODEL_KEY])] == [True]
    (line,) = demote_behind(store, scan_records(store, [MODEL_KEY]), auto=False, by="me")
    assert line.startswith("BTCUSDT 1h fast: r1 is behind its bar on the latest 720 live rows")
    assert line.endswith("--demotion auto would demote it")
    (line,) = demote_behind(store, scan_records(store, [MODEL_KEY]), auto=True, by="me")
    assert line.endswith("none serves now")
    assert scan_records(store, [MODEL_KEY]) == []
    store.put(MODEL_KEY.pointer, b"{}")
    (line,) = demote_behind(store, scan_records(store, [MODEL_KEY]), auto=True, by="me")
    assert line.startswith("BTCUSDT 1h fast: the record can't be read")


def test_a_good_champion_is_not_named() -> None:
    store = MemoryStore()
    extend(store, first_champion(store), live_rows(0, 720, True))
    assert list(demote_behind(store, scan_records(store, [MODEL_KEY]), auto=True, by="me")) == []
