from __future__ import annotations

from typing import Any

import pytest

from launcher.records.leases import AttemptFacts, JobFacts, Rules, Standing, classify_job, order_jobs

NOW = 10_000.0
RULES = Rules(lease=60.0, attempts=3, memory_attempts=2, pauses=(2.0, 10.0))


def running(number: int = 1, *, ago: float = 5.0, **more: Any) -> AttemptFacts:
    """An attempt without an exit report whose claim moved so many seconds ago."""
    return AttemptFacts(number, NOW - ago, **more)


def ended(number: int, code: int, category: str, *, ago: float = 5.0) -> AttemptFacts:
    """An attempt that left an exit report so many seconds ago."""
    return AttemptFacts(number, NOW - ago - 30, NOW - ago, code, category, f"{category} {number}")


DOWN = [ended(number, 75, "unavailable", ago=100 - number) for number in (1, 2, 3)]
OOM = [ended(number, 137, "oom", ago=100 - number) for number in (1, 2)]
LOST = [running(number, ago=500 - number) for number in (1, 2, 3)]


@pytest.mark.parametrize(
    ("attempts", "state", "attempt", "due_in", "alone"),
    [
        pytest.param((), "free", 1, None, False, id="nobody has begun it"),
        pytest.param((running(),), "live", 1, None, False, id="its claim has moved within the lease"),
        pytest.param((running(ago=60.0),), "live", 1, None, False, id="its lease ends now"),
        pytest.param((running(ago=-60.0),), "live", 1, None, False, id="its claim is of a moment later than now"),
        pytest.param((running(ago=-7200.0),), "free", 2, None, True, id="its claim is of a clock that was set since"),
        pytest.param((running(ago=60.1),), "free", 2, None, True, id="its claim has not moved for a lease"),
        pytest.param((running(gone=True),), "free", 2, None, True, id="its process is gone from this machine"),
        pytest.param((running(1, ago=500), running(2)), "live", 2, None, False, id="taken over"),
        pytest.param((running(1), ended(2, 143, "stopped")), "live", 1, None, False, id="one that had hung goes on"),
        pytest.param((ended(1, 143, "stopped"),), "free", 2, None, False, id="stopped: taken over at once"),
        pytest.param(tuple(ended(n, 143, "stopped") for n in range(1, 9)), "free", 9, None, False, id="however often"),
        pytest.param((ended(1, 75, "unavailable"),), "free", 2, -3.0, False, id="one failure: a short pause"),
        pytest.param(tuple(DOWN[:2]), "free", 3, -88.0, False, id="two failures: a longer one"),
        pytest.param(tuple(DOWN), "failed", 3, None, False, id="three failures are enough"),
        pytest.param((*DOWN[:2], ended(3, 143, "stopped")), "free", 4, None, False, id="a stop does not wait"),
        pytest.param((ended(1, 10, "bad-data"),), "failed", 1, None, False, id="the same bars would be as bad again"),
        pytest.param((ended(1, 0, "done"),), "failed", 1, None, False, id="ended well without a result"),
        pytest.param((ended(1, 21, "no-accelerator"),), "free", 2, -3.0, False, id="another machine may have a GPU"),
        pytest.param(tuple(OOM[:1]), "free", 2, None, True, id="out of memory: with nothing beside it"),
        pytest.param(tuple(OOM), "failed", 2, None, False, id="out of memory too often"),
        pytest.param((ended(1, 22, "device-full"),), "free", 2, None, True, id="the GPU was full: alone on it"),
        pytest.param((OOM[0], ended(2, 143, "stopped")), "free", 3, None, True, id="it still needs the memory"),
        pytest.param(tuple(LOST[:2]), "free", 3, None, True, id="its process was lost twice"),
        pytest.param(tuple(LOST), "failed", 3, None, False, id="its process was lost three times"),
        pytest.param((ended(1, 137, "killed"),), "free", 2, -3.0, True, id="killed by a signal"),
    ],
)
def test_a_job_stands_where_its_attempts_left_it(
    attempts: tuple[AttemptFacts, ...], state: str, attempt: int, due_in: float | None, alone: bool
) -> None:
    found = classify_job(JobFacts("BTCUSDT-fast", False, attempts), NOW, 0.0, RULES)
    due = 0.0 if due_in is None else NOW + due_in
    assert (found.state, found.attempt, found.alone) == (state, attempt, alone)
    assert found.due == pytest.approx(due)


@pytest.mark.parametrize("attempts", [(), (running(),), (running(ago=900.0),), tuple(DOWN), (ended(1, 0, "done"),)])
def test_a_result_is_the_end_whatever_else_is_there(attempts: tuple[AttemptFacts, ...]) -> None:
    assert classify_job(JobFacts("j", True, attempts, verdict_at=NOW), NOW, 0.0, RULES) == Standing("done")


def test_a_new_session_forgives_earlier_failures_and_still_respects_who_works() -> None:
    failed = JobFacts("j", False, (ended(1, 10, "bad-data", ago=50.0),), verdict_at=NOW - 50.0)
    assert classify_job(failed, NOW, NOW - 40.0, RULES) == Standing("free", 2)
    assert classify_job(failed, NOW, NOW - 60.0, RULES).state == "failed"
    held = JobFacts("j", False, (running(ago=45.0),))
    assert classify_job(held, NOW, NOW - 40.0, RULES).state == "live"


def test_a_verdict_ends_a_job_whose_attempts_could_not_even_claim() -> None:
    mute = JobFacts("j", verdict_at=NOW, verdict_category="unavailable", verdict_reason="the store is out of reach")
    assert classify_job(mute, NOW, NOW - 1.0, RULES) == Standing(
        "failed", 0, category="unavailable", reason="the store is out of reach"
    )


def test_workers_begin_at_places_of_their_own_and_each_sees_every_job() -> None:
    names = [f"J{number}" for number in range(10)]
    orders = [order_jobs(names, worker, 4) for worker in range(4)]
    assert [order[0] for order in orders] == ["J0", "J2", "J5", "J7"]
    assert all(sorted(order) == sorted(names) for order in orders)
    assert order_jobs(names, 0, 1) == names
