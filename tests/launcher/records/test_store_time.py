from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from atb.errors import StoreError
from atb.storage import Entry, MemoryStore, Store
from launcher.records.store_time import StoreTime


class ManualClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def now(self) -> float:
        return self.seconds

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


class SuspendedClock(ManualClock):
    """Of a machine that was suspended: only the time of day has gone on."""

    asleep = 0.0

    def now(self) -> float:
        return self.seconds + self.asleep


class LateStore(MemoryStore):
    """A store whose clock is an hour behind that of its users."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self._clock, self.late = clock, 3600.0

    def list(self, prefix: str) -> Iterator[Entry]:
        late = datetime.fromtimestamp(self._clock.seconds - self.late, UTC)
        return iter([entry._replace(modified=late) for entry in super().list(prefix)])


def test_the_time_is_the_stores_and_goes_on_between_beats() -> None:
    clock = ManualClock()
    time = StoreTime(LateStore(clock), "me.json", clock, beat=10.0)
    assert time.due, "it has never been written"
    time.beat(b"1")
    assert time.now() == pytest.approx(100.0 - 3600)
    clock.sleep(9.5)
    assert time.now() == pytest.approx(109.5 - 3600)
    clock.sleep(0.5)
    assert time.due


def test_it_is_steady_after_beats_without_a_gap_and_no_longer_after_one() -> None:
    clock = ManualClock()
    time = StoreTime(LateStore(clock), "me.json", clock, beat=10.0)
    seen = []
    for pause in (0, 10, 10, 10, 25, 10, 10, 10):
        clock.sleep(pause)
        time.beat(b"1")
        seen.append(time.steady)
    assert seen == [False, False, False, True, False, False, False, True]
    clock.sleep(20.5)
    assert not time.steady, "the store has not answered for two beats"


def test_after_a_machine_was_suspended_its_old_time_calls_no_claim_lapsed() -> None:
    clock = SuspendedClock()
    time = StoreTime(LateStore(clock), "me.json", clock, beat=10.0)
    for _ in range(4):
        clock.sleep(10)
        time.beat(b"1")
    assert (time.due, time.steady) == (False, True)
    clock.asleep = 7200.0
    assert (time.due, time.steady) == (True, False)
    time.beat(b"1")
    assert (time.due, time.steady) == (False, False)
    for _ in range(3):
        clock.sleep(10)
        time.beat(b"1")
    assert time.steady


@pytest.mark.parametrize("late", [0.0, 3500.0, 3700.0, 7200.0])
def test_it_is_not_steady_for_a_while_after_the_store_s_clock_was_set(late: float) -> None:
    clock = ManualClock()
    store = LateStore(clock)
    time = StoreTime(store, "me.json", clock, beat=10.0)
    seen = []
    for beat in range(9):
        clock.sleep(10)
        store.late = 3600.0 if beat < 4 else late
        time.beat(b"1")
        seen.append(time.steady)
    assert seen == [False, False, False, True, False, False, False, True, True]


def test_a_store_that_does_not_list_what_was_just_written_is_named(store: Store) -> None:
    clock = ManualClock()
    StoreTime(store, "runs/r/workers/me.json", clock, beat=10.0).beat(b"1")

    class Blind(MemoryStore):
        def list(self, prefix: str) -> Iterator[Entry]:
            return iter(())

    with pytest.raises(StoreError, match=r"does not list me\.json, which was just written"):
        StoreTime(Blind(), "me.json", clock, beat=10.0).beat(b"1")
