"""The outcome of a run in a terminal of any width."""

from __future__ import annotations

import click
import pytest

from atb.documents.manifest import Manifest, ManifestJob
from launcher.report.table import job_lines, manifest_lines
from tests.launcher.fixtures import NOW

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


def test_presets_stay_where_they_tell_rows_apart() -> None:
    several = [JOBS[1], JOBS[1].model_copy(update={"preset": "fast"})]
    assert next(job_lines(several, 60)).split() == ["symbol", "preset", "state", "test", "RMSE", "skill", "time"]
    assert "preset" not in next(job_lines(several, 40))


def test_of_a_large_run_the_jobs_that_need_eyes_are_listed_and_the_rest_is_counted() -> None:
    jobs = [JOBS[1].model_copy(update={"job": f"J{n}-balanced", "symbol": f"J{n}"}) for n in range(300)]
    for n in (7, 70):
        jobs[n] = jobs[n].model_copy(update={"state": "failed", "category": "oom", "reason": "8 GiB was not enough"})
    manifest = Manifest(run="r1", created=NOW, jobs=tuple(jobs))
    lines = [click.unstyle(line) for line in manifest_lines(manifest, "s3://b", 100, most=200)]
    assert [line.split()[0] for line in lines[:4]] == ["symbol", "J7", "J70", "298"]
    assert lines[3] == "298 done, 2 failed; for all of them: atb-launch status r1"
    assert lines[4:] == [f"J{n}-balanced failed (oom): 8 GiB was not enough" for n in (7, 70)]
    assert len(list(manifest_lines(manifest, "s3://b", 100, most=300))) == 1 + 300 + 2


def test_a_run_without_jobs_has_a_head() -> None:
    assert len(list(job_lines([], 60))) == 1
