"""The live table: what fits into 80 columns, what comes first, and what is told where nothing can be repainted."""

from __future__ import annotations

import io

import click
import pytest
from rich.console import Console

from launcher.report.live_table import Row, RunView, format_eta, row_lines, summary_line

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
        "B-fast: running",
        "the API server is busy",
        "B-fast: failed (diverged): the loss is not a number",
    ]


def test_a_note_that_differs_only_in_its_numbers_is_said_again_once_a_minute() -> None:
    console, now = Console(file=io.StringIO(), width=80, force_terminal=False), [0.0]
    with RunView("run r", console, lambda: now[0]) as view:
        for created in range(100):
            view.show([], f"created {created} of 100 · trying again in 0.{created} s")
            now[0] += 1.0
    assert console.file.getvalue().splitlines() == [  # type: ignore[attr-defined]
        "created 0 of 100 · trying again in 0.0 s",
        "nothing to do · created 60 of 100 · trying again in 0.60 s",
    ]


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
