"""What documents and logs hold is shown, and steers no terminal."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from atb.contract import keys
from atb.documents.attempt import Verdict
from atb.storage import open_store
from launcher.cli import atb_launch
from tests.launcher.fixtures import NOW, make_plan

EVIL = "\x1b]0;owned\x07\x9b2J\x1b[2J\x08\r\u202e"


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A store with a run whose job failed, with a reason and a log that must not be printed as they are."""
    store = open_store(str(tmp_path / "store"), None)
    plan = make_plan("BTCUSDT").model_copy(update={"backend": "local"})
    job = plan.jobs[0].job
    store.put(keys.plan(plan.run), plan.to_bytes())
    store.put(keys.attempt(plan.run, job, 1, "claim.json"), b"{}")
    store.put(keys.attempt(plan.run, job, 1, "log.txt"), f"first\n{EVIL}\tlast\n".encode())
    verdict = Verdict(job=job, state="failed", category="oom", reason=f"killed{EVIL}", attempts=1, recorded=NOW)
    store.put(keys.verdict(plan.run, job), verdict.to_bytes())
    return store.url


@pytest.mark.parametrize("command", [("why", "run-1", "BTCUSDT"), ("logs", "run-1", "BTCUSDT"), ("status", "run-1")])
def test_no_command_prints_a_documents_control_characters(url: str, command: tuple[str, ...]) -> None:
    result = CliRunner().invoke(atb_launch, [*command, "--store", url], color=True)
    assert result.exit_code == 0, result.output
    assert "owned" in result.output
    assert not any(each in result.output for each in ("\x1b]", "\x1b[2J", "\x07", "\x08", "\x9b", "\r", "\u202e"))
