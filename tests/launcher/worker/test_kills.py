from __future__ import annotations

from pathlib import Path

from tests.launcher.worker.kills import shake


def test_under_random_kills_and_lost_answers_every_job_is_done_once(tmp_path: Path) -> None:
    run = shake(tmp_path, jobs=8, kills=5, seed=7, pause=0.4)
    assert run.kills
