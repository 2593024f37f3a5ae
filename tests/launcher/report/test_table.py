"""The outcome of a run in a terminal of any width."""

from __future__ import annotations

import click
import pytest

from atb.documents.manifest import ManifestJob
from launcher.report.table import job_lines

JOBS = [
    ManifestJob(
        job=f"{symbol}-balanced", symbol=symbol, preset="balanced", state="done", epochs=113, seconds=3_700.0,
        metrics={"rmse": 12345.678, "skill": -0.0123}, baselines={"linear": {"skill": 0.0456}},
    )
    for symbol in ("1000000MOGUSDT", "BTCUSDT")
]  # fmt: skip


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_no_line_is_wider_than_the_terminal_and_no_number_loses_a_digit(width: int) -> None:
    head, *lines = [click.unstyle(line) for line in job_lines(JOBS, width)]
    assert all(len(line) <= width for line in (head, *lines))
    for line in lines:
        assert "12346" in line
        assert "-0.0123" in line
        assert "done" in line


def test_what_gives_way_are_whole_columns() -> None:
    assert next(job_lines(JOBS, 120)).split() == [
        "symbol", "preset", "state", "epochs", "test", "RMSE", "baseline", "skill", "time",
    ]  # fmt: skip
    assert next(job_lines(JOBS, 60)).split() == ["symbol", "state", "test", "RMSE", "baseline", "skill", "time"]
    assert "+0.0456" in "".join(job_lines(JOBS, 60))


def test_a_run_without_jobs_has_a_head() -> None:
    assert len(list(job_lines([], 60))) == 1
