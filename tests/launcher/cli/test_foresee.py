"""What a dry run says of the bars, asked of the trainer in a process of its own."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from atb.storage import DirectoryStore
from launcher.cli.planning import foresee
from launcher.plan.build import build_plan


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_names_in_any_alphabet_reach_it_whatever_a_terminal_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    source = f"files:{tmp_path}/no\u00fcwhere"
    options = {"source": source, "as_of": datetime(2026, 1, 31, tzinfo=UTC)}
    now = datetime(2026, 2, 1, tzinfo=UTC)
    plan = build_plan("r1", ["\u5e01\u5b89USDT", "\u00dcNAL"], ["fast"], options, backend="local", now=now)
    found = foresee(plan, DirectoryStore(tmp_path / "store"))
    assert list(found) == [planned.job for planned in plan.jobs]
    assert all("there is no directory" in problem for problem in found.values())
