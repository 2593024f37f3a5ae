"""What a run will still take is learned from how trainings ended, never from the bound of epochs."""

from __future__ import annotations

from dataclasses import replace

import click
import pytest

from launcher.report.eta import Usual, Watch, bar_line
from launcher.report.live_table import Row, row_lines

RUNNING = Row("A-fast", "AUSDT", "fast", "running", epoch=10, epochs=200, eta_seconds=190.0)


def jobs(*states: str) -> list[Row]:
    return [Row(f"{n}-fast", f"{n}USDT", "fast", state) for n, state in enumerate(states)]  # type: ignore[arg-type]


def test_the_rest_of_a_job_is_its_own_pace_up_to_the_usual_number_of_epochs() -> None:
    watch = Watch()
    watch.usual = {"fast": Usual(60.0, 30.0)}
    watch.see([RUNNING], 0.0)
    assert watch.job_eta(RUNNING, 10.0) == pytest.approx(20.0)


def test_past_the_usual_number_of_epochs_nothing_is_promised() -> None:
    watch = Watch()
    watch.usual = {"fast": Usual(60.0, 8.0)}
    watch.see([RUNNING], 0.0)
    assert watch.job_eta(RUNNING, 10.0) is None


def test_before_the_first_epoch_the_usual_time_counts_down() -> None:
    watch, row = Watch(), jobs("running")[0]
    watch.usual = {"fast": Usual(60.0, 8.0)}
    watch.see([row], 100.0)
    assert watch.job_eta(row, 115.0) == pytest.approx(45.0)


def test_a_run_takes_as_long_as_its_jobs_share_the_machine() -> None:
    watch = Watch()
    watch.usual = {"fast": Usual(60.0, 8.0)}
    rows = jobs("running", "running", "pending", "pending", "pending", "pending")
    watch.see(rows, 0.0)
    assert watch.run_eta(rows, 0.0) == pytest.approx(6 * 60 / 2)
    ended = jobs("done", "failed")
    assert watch.run_eta(ended, 0.0) is None


def test_no_estimate_before_anything_is_known_then_the_run_s_own_jobs_give_it() -> None:
    watch, rows = Watch(), jobs("running", "pending", "pending")
    watch.see(rows, 0.0)
    assert watch.run_eta(rows, 5.0) is None
    rows = [replace(rows[0], state="done"), replace(rows[1], state="running"), rows[2]]
    watch.see(rows, 40.0)
    assert watch.run_eta(rows, 40.0) == pytest.approx(80.0)


def test_of_several_presets_all_must_be_known() -> None:
    watch = Watch()
    watch.usual = {"fast": Usual(60.0, 8.0)}
    rows = [*jobs("running"), Row("B-quality", "BUSDT", "quality", "pending")]
    watch.see(rows, 0.0)
    assert watch.run_eta(rows, 0.0) is None


def test_the_bar_shows_what_has_ended_and_about_how_long_the_rest_takes() -> None:
    assert bar_line(["done", "failed", "running", "pending"], 754.0) == f"{'█' * 10}{'░' * 10} 2 of 4, about 13m left"
    assert bar_line(["running"], None).endswith(" 0 of 1")
    assert bar_line([], None).startswith("█" * 20)


def test_a_time_by_the_bound_of_epochs_is_shown_as_what_it_is() -> None:
    assert "≤3m" in "".join(row_lines([RUNNING], width=80))
    assert "≤" not in "".join(row_lines([replace(RUNNING, learned=True)], width=80))


@pytest.mark.parametrize("width", [60, 80])
def test_no_number_of_a_narrow_table_loses_a_digit(width: int) -> None:
    row = replace(RUNNING, symbol="1000PEPEUSDT", detail="training", validation_loss=0.123456, attempts=2, epoch=113)
    lines = [click.unstyle(line) for line in row_lines([row], width=width)]
    assert all(len(line) <= width for line in lines)
    for number in ("113/200", "0.1235", "≤3m", "2"):
        assert number in lines[1]
