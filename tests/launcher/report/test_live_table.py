"""The live table: what fits into 80 columns, what comes first, and what is told where nothing can be repainted."""

from __future__ import annotations

import io
from dataclasses import replace

import click
import pytest
from rich.console import Console

from atb.documents.manifest import State
from launcher.report.eta import format_eta
from launcher.report.live_table import Row, cut_reasons, row_lines, summary_line
from launcher.report.run_view import RunView

ROWS = [
    Row("A-fast", "BTCUSDT", "fast", "done", epoch=40, epochs=100, validation_loss=0.1234567, attempts=1),
    Row("B-fast", "ETHUSDT", "fast", "running", node="gpu-1", epoch=7, epochs=100, eta_seconds=754.0, attempts=2),
    Row("C-fast", "1000PEPEUSDT", "fast", "failed", "oom", "the kernel killed it for its memory on gpu-2"),
    Row("D-fast", "SOLUSDT", "fast", "pending", "gpu", "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."),
]


def paint(rows: list[Row], width: int, height: int | None = None) -> list[str]:
    return [click.unstyle(line) for line in row_lines(rows, width=width, height=height)]


def test_a_row_is_one_line_of_80_columns_with_state_reason_epoch_and_loss() -> None:
    lines = paint(ROWS, 80)
    assert len(lines) == 1 + len(ROWS)
    assert all(len(line) <= 80 for line in lines)
    running = next(line for line in lines if "ETHUSDT" in line)
    assert "running" in running
    assert "7/100" in running
    assert "13m" in running
    assert "1000PEPEUSDT" in "".join(lines)
    assert "0.1235" in next(line for line in lines if "BTCUSDT" in line)


def test_what_needs_eyes_comes_first_and_what_does_not_fit_is_counted() -> None:
    lines = paint(ROWS, 80, height=2)
    assert "1000PEPEUSDT" in lines[1]
    assert "ETHUSDT" in lines[2]
    assert "and 2 more" in lines[-1]


def test_the_node_has_a_column_where_there_is_room() -> None:
    assert "gpu-1" not in "".join(paint(ROWS, 80))
    assert "gpu-1" in "".join(paint(ROWS, 140))


def test_the_preset_has_a_column_only_where_there_are_several() -> None:
    assert "preset" not in paint(ROWS, 120)[0]
    assert "preset" in paint([*ROWS, Row("A-quality", "BTCUSDT", "quality", "done")], 120)[0]


def test_the_summary_counts_states_and_names_causes() -> None:
    assert summary_line(ROWS) == "1 done · 1 running · 1 pending · 1 failed (oom)"
    assert summary_line([]) == "nothing to do"


@pytest.mark.parametrize(("seconds", "text"), [(None, ""), (45, "45s"), (720, "12m"), (11_100, "3h05"), (-1, "")])
def test_a_time_left_is_short(seconds: float | None, text: str) -> None:
    assert format_eta(seconds) == text


def test_without_a_terminal_each_change_of_state_is_one_line() -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=False)
    with RunView("run r", console) as view:
        view.show(ROWS[:2])
        view.show(ROWS[:2], "the API server is busy")
        view.show([Row("B-fast", "ETHUSDT", "fast", "failed", "diverged", "the loss is not a number")])
    assert console.file.getvalue().splitlines() == [  # type: ignore[attr-defined]
        "A-fast: done",
        "B-fast: attempt 2, running",
        "the API server is busy",
        "B-fast: failed (diverged): the loss is not a number",
    ]


def test_a_note_that_differs_only_in_its_numbers_is_repeated_once_a_minute() -> None:
    console, now = Console(file=io.StringIO(), width=80, force_terminal=False), [0.0]
    with RunView("run r", console, lambda: now[0]) as view:
        for created in range(100):
            view.show([], f"created {created} of 100 · trying again in 0.{created} s")
            now[0] += 1.0
    assert console.file.getvalue().splitlines() == [  # type: ignore[attr-defined]
        "created 0 of 100 · trying again in 0.0 s",
        "nothing to do · created 60 of 100 · trying again in 0.60 s",
    ]


def test_without_a_terminal_many_jobs_print_what_matters_and_a_line_a_minute() -> None:
    console, now = Console(file=io.StringIO(), width=80, force_terminal=False), [0.0]
    rows = [Row(f"J{n}-fast", f"J{n}USDT", "fast", "pending") for n in range(400)]
    ends: dict[int, tuple[State, str, str]] = {7: ("failed", "oom", "64 MiB"), 8: ("interrupted", "stopped", "")}
    ends |= dict.fromkeys(range(100, 200), ("failed", "diverged", "the loss is not a number"))
    with RunView("run r", console, lambda: now[0]) as view:
        for n, row in enumerate(rows):
            view.show([*rows[:n], replace(row, state="running", detail="training", attempts=1), *rows[n + 1 :]])
            if n == 3:
                rows[n] = replace(row, state="running", detail="(96Mi, after oom with 64Mi)", attempts=2)
                view.show(rows)
            done: tuple[State, str, str] = ("done", "", "")
            state, category, detail = ends.get(n, done)
            rows[n] = replace(rows[n], state=state, category=category, detail=detail)
            view.show(rows)
            now[0] += 0.5
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert lines[:3] == [
        "J3-fast: attempt 2, running: (96Mi, after oom with 64Mi)",
        "J7-fast: failed (oom): 64 MiB",
        "J8-fast: interrupted (stopped)",
    ]
    assert lines[12] == "J109-fast: failed (diverged): the loss is not a number"
    assert lines[13] == "further jobs that are failed (diverged) like these are only counted"
    assert len(lines) == 14 + 3, "and a line for each of three minutes"
    assert "101 failed (diverged 100, oom) · 1 retry" in lines[-1]


NO_QUOTA = (
    "couldn't assign flavors to pod set main: insufficient quota for nvidia.com/gpu in flavor default, request > "
)
NO_QUOTA += "maximum capacity (2 > 1)"
QUEUED = [Row(f"J{n}-fast", f"J{n}USDT", "fast", "pending", "queue", NO_QUOTA) for n in range(500)]


def test_without_a_terminal_jobs_that_wait_for_one_reason_are_one_line_and_a_new_reason_another() -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=False)
    waiting = [replace(row, detail="waits for its queue") for row in QUEUED]
    with RunView("run r", console) as view:
        view.show(waiting)
        view.show([*QUEUED[:3], *waiting[3:]])
        view.show([replace(row, detail=row.detail.replace("2 > 1", "4 > 1")) for row in QUEUED])
        view.show([replace(QUEUED[0], category="gpu", detail="0/3 nodes are available")])
    assert console.file.getvalue().splitlines() == [  # type: ignore[attr-defined]
        "500 jobs: pending (queue): waits for its queue",
        f"3 jobs: pending (queue): {NO_QUOTA}",
        "J0-fast: pending (gpu): 0/3 nodes are available",
    ]


@pytest.mark.parametrize("width", [40, 80, 100, 140, 400])
def test_what_a_table_has_no_room_for_stands_below_it_in_full(width: int) -> None:
    lines = paint(QUEUED[:2], width)
    shown = "\n".join([*lines, *cut_reasons(QUEUED[:2], lines)])
    assert shown.count(NO_QUOTA) == (2 if width == 400 else 1)
    assert ("2 jobs: pending (queue): " in shown) == (width != 400)


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_live_table_folds_the_reason_and_stays_within_the_screen(width: int) -> None:
    console = Console(file=io.StringIO(), width=width, height=24, force_terminal=True)
    with RunView("run r", console) as view:
        view.show(QUEUED)
    printed = click.unstyle(console.file.getvalue())  # type: ignore[attr-defined]
    assert NO_QUOTA.replace(" ", "") in "".join(printed.split())
    last = printed.split("run r")[-1]
    assert last.count("\n") <= 24


def test_markup_in_a_reason_is_not_taken_for_style() -> None:
    row = Row("A", "BTCUSDT", "fast", "failed", "bug", "[bold]list index [0] out of range[/x]")
    assert "[bold]" in "".join(paint([row], 120))


@pytest.mark.parametrize("terminal", [True, False])
def test_nothing_that_a_row_or_a_note_holds_steers_the_terminal(terminal: bool) -> None:
    console = Console(file=io.StringIO(), width=100, height=30, force_terminal=terminal)
    evil = "\x1b]0;owned\x07\x9b2J\r"
    rows = [Row(f"J{evil}", f"S{evil}", "fast", "failed", f"oom{evil}", f"why{evil}", f"node{evil}")]
    with RunView("run r", console) as view:
        view.show(rows, f"note{evil}")
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert "owned" in printed
    assert not any(each in printed for each in ("\x1b]", "\x07", "\x9b"))
    assert printed.count("\x1b[2J") == 0
