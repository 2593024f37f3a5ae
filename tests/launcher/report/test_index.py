"""The page of a whole store: its runs, schedules, champions and trends."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from atb.contract import keys
from atb.storage import MemoryStore
from launcher.plan.build import build_plan, commit_plan
from launcher.report.index import write_index
from launcher.report.views.index_model import NightJob, Run, build_index, schedule_of
from launcher.report.views.trend import Point, trend_chart
from tests.atb.registry.candidates import NOW
from tools.screenshots.made_up import FixedClock, Shape, make_run, symbols


def night(number: int, *, failed: int = 0, name: str = "nightly") -> Run:
    at = NOW + timedelta(days=number)
    jobs = [NightJob("done", "", 0.01 * number, False, f"S{n}") for n in range(3)]
    jobs += [NightJob("failed", "oom", None, False, f"F{n}") for n in range(failed)]
    return Run(f"{name}-{at:%Y%m%d-%H%M%S}", at, tuple(jobs), held_seconds=30.0, trained=3)


def cells(*runs: Run, at: datetime, table: str = "schedules") -> list[tuple[str, ...]]:
    index = build_index("./store", runs, [], at, ["--store", "./store"], [])
    found = next(each for each in index.tables if each.name == table)
    return [tuple(f"{cell.text} {cell.kind}".strip() for cell in row.cells) for row in found.rows]


def test_a_schedule_shows_its_last_success_and_whether_that_is_long_ago() -> None:
    runs = [night(number, failed=number == 3) for number in range(4)]
    soon, late = runs[3].planned, runs[3].planned
    assert soon is not None
    assert late is not None
    expected = ("nightly", "2026-02-03 06:00", "2026-02-02 06:00 good", "24 h", "3 of 4")
    assert cells(*runs, at=soon + timedelta(hours=1)) == [expected]
    assert cells(*runs, at=late + timedelta(days=2))[0][2] == "2026-02-02 06:00 bad"


def test_a_schedule_that_never_succeeded_says_so() -> None:
    assert cells(night(0, failed=1), night(1, failed=1), at=NOW + timedelta(days=1))[0][2] == "none bad"


@pytest.mark.parametrize(
    ("run", "schedule"),
    [("nightly-20260131-060000", "nightly"), ("eu-spot-20260131-060000", "eu-spot"), ("20260131-060000-ab12", None)],
)
def test_a_schedule_is_known_by_how_it_names_its_runs(run: str, schedule: str | None) -> None:
    assert schedule_of(run) == schedule


def test_runs_are_the_latest_first_with_what_is_missing_and_what_a_model_cost() -> None:
    first, second = cells(night(0), night(1, failed=2), at=NOW + timedelta(days=1), table="runs")
    assert first[2:5] == ("3", "2 bad", "oom 2")
    assert second[2:5] == ("3 good", "0", "")
    assert second[-1] == "10.0 s"


def test_the_store_s_page_is_made_from_what_runs_left() -> None:
    store = MemoryStore()
    for number in range(3):
        at = datetime(2026, 1, 1 + number, tzinfo=UTC)
        make_run(store, f"nightly-{at:%Y%m%d-%H%M%S}", symbols(4), at, number, Shape(failing=0.0, knowing=0.9))
    plan = build_plan("open", ["AUSDT"], ["fast"], {"as_of": NOW}, backend="local", now=NOW)
    commit_plan(plan, store)
    store.put(keys.manifest("broken"), b"{")
    store.put(keys.plan("broken"), b"{")
    assert write_index(store, clock=FixedClock(NOW)) == "index.html"
    page = store.get("index.html").decode()
    assert page.count("<polyline") == 4
    assert 'href="runs/nightly-20260103-000000/report.html"' in page
    assert "not collected yet" in page
    assert "broken" in page
    assert re.search(r'<th scope=row data-label="model">BTCUSDT 1h balanced sample return 1 \(made up\)', page)
    assert "atb-launch collect open" in page
    cell = r'class="number" data-value="([-.\de]+)"'
    live, promised = (re.search(f'data-label="{name} skill" {cell}', page) for name in ("live", "promised"))
    assert live is not None
    assert promised is not None
    assert f'aria-label="skill {float(live[1]):+.4f}, promised {float(promised[1]):+.4f}"' in page
    assert "the dot is the live skill" in page


def test_an_empty_store_has_a_page_that_says_how_to_begin() -> None:
    store = MemoryStore()
    write_index(store, clock=FixedClock(NOW))
    assert "atb-launch --symbols BTCUSDT" in store.get("index.html").decode()


def test_a_trend_is_drawn_on_an_axis_with_zero_and_takes_any_numbers() -> None:
    points = [Point(NOW + timedelta(days=n), value, f"<r{n}>") for n, value in enumerate([0.1, float("nan"), -0.2])]
    drawn = trend_chart("<skill>", points, "+.2f")
    assert drawn.count("<circle") == 2
    assert ">0</text>" in drawn
    assert "<r0>" not in drawn
    assert trend_chart("one", points[:1], "+.2f") == ""
    counts = [Point(NOW, 0.0, "a"), Point(NOW + timedelta(1), 1.0, "b")]
    assert re.findall(r'text-anchor="end">(\d)<', trend_chart("count", counts, ".0f", whole=True)) == ["0", "1"]
