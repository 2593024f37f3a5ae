"""Known vulnerabilities of every locked library, by pip-audit and the OSV database."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.supply.locks import LOCKS


@dataclass(frozen=True)
class Audit:
    """``lines`` for people. ``exit_code``: 0 nothing known, 1 something known, 75 not everything was checked."""

    lines: tuple[str, ...]
    exit_code: int


def audit(pip_audit: Sequence[str]) -> Audit:
    """Ask about every library of locks/. ``pip_audit``: the command."""
    with tempfile.TemporaryDirectory() as folder:
        every = Path(folder) / "every.txt"
        every.write_text("".join(path.read_text() for path in sorted(LOCKS.glob("*.txt")) if path.name != "build.txt"))
        command = [*pip_audit, "--requirement", str(every), "--disable-pip", "--no-deps", "--vulnerability-service"]
        command += ["osv", "--format", "json", "--progress-spinner", "off"]
        answer = subprocess.run(command, check=False, capture_output=True, text=True)
    return judge(answer.stdout, answer.stderr)


def judge(report: str, errors: str = "") -> Audit:
    """What pip-audit's JSON report comes to. A library that it skipped was not checked, which is no good news.

    ``errors``: its standard error, of which the last line is shown where there is no report.
    """
    try:
        found = json.loads(report)["dependencies"]
    except (ValueError, KeyError, TypeError):
        why = errors.strip().splitlines()[-1][:300] if errors.strip() else "pip-audit printed no report"
        line = f"nothing was checked: the OSV database gave no answer; run make audit where it can be reached ({why})"
        return Audit((line,), 75)
    lines = [
        f"{each['name']} {each['version']}: {known['id']}, fixed in {', '.join(known['fix_versions']) or 'no version'}"
        for each in found
        for known in each.get("vulns", [])
    ]
    skipped = [each["name"] for each in found if "skip_reason" in each]
    if skipped:
        lines.append(f"{len(skipped)} of {len(found)} libraries were not checked: {', '.join(skipped[:10])}")
    if lines:
        return Audit(tuple(lines), 75 if len(lines) == 1 and skipped else 1)
    return Audit((f"no known vulnerability in {len(found)} libraries",), 0)
