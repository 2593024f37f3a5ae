"""What pip-audit's report comes to; one that could not ask is never taken for good news."""

from __future__ import annotations

import json
from typing import Any

from tools.supply.audit import judge

WELL: dict[str, Any] = {"name": "six", "version": "1.17.0", "vulns": []}
KNOWN = {"name": "old", "version": "1.0", "vulns": [{"id": "PYSEC-2026-1", "fix_versions": ["1.1"], "aliases": []}]}
SKIPPED = {"name": "odd", "skip_reason": "not found on PyPI"}


def report(*dependencies: dict[str, Any]) -> str:
    return json.dumps({"dependencies": dependencies, "fixes": []})


def test_a_vulnerability_is_named_with_the_version_that_mends_it() -> None:
    found = judge(report(WELL, KNOWN))
    assert (found.exit_code, found.lines) == (1, ("old 1.0: PYSEC-2026-1, fixed in 1.1",))


def test_nothing_known_is_said_with_how_many_were_checked() -> None:
    found = judge(report(WELL))
    assert (found.exit_code, found.lines) == (0, ("no known vulnerability in 1 libraries",))


def test_what_was_not_checked_is_no_good_news() -> None:
    found = judge(report(WELL, SKIPPED))
    assert (found.exit_code, found.lines) == (75, ("1 of 2 libraries were not checked: odd",))
    both = judge(report(SKIPPED, KNOWN))
    assert (both.exit_code, len(both.lines)) == (1, 2)


def test_a_database_out_of_reach_is_one_line() -> None:
    for printed in ("", "Traceback", "[]", "null", "{}"):
        found = judge(printed, "Traceback (most recent call last)\n  …\nConnectionError: no such host\n")
        assert found.exit_code == 75
        assert len(found.lines) == 1
        assert "nothing was checked" in found.lines[0]
        assert "ConnectionError: no such host" in found.lines[0]
