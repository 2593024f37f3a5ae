"""One command for a machine with a GPU, as far as one without can try it: real processes, and what they come to."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pytest

from tools.gpu_check import Finding, Part, check, exit_code, markdown, parts, run_part


def script(name: str, text: str, limit: float = 30) -> Part:
    return Part(name, (sys.executable, "-c", text), limit)


@pytest.mark.parametrize(
    ("text", "outcome", "code"),
    [
        ("print('well')", "ok", 0),
        ("raise SystemExit(21)", "no GPU", 21),
        ("print('no GPU seen by JAX: nothing measured')", "no GPU", 0),
        ("raise SystemExit(3)", "failed", 3),
        ("import os; os.kill(os.getpid(), 9)", "failed", -9),
    ],
)
def test_an_outcome_follows_from_how_a_part_ends(text: str, outcome: str, code: int) -> None:
    found = run_part(script("a", text))
    assert (found.outcome, found.code) == (outcome, code)


def test_a_part_that_takes_too_long_is_ended_with_its_children(tmp_path: Path) -> None:
    text = (
        "import subprocess, sys, time, pathlib\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(child.pid)); print('begun', flush=True)\n"
        "time.sleep(60)"
    )
    found = run_part(script("slow", text, 3))
    assert (found.outcome, found.code, found.output) == ("too slow", None, ("begun",))
    deadline, child = time.monotonic() + 10, int((tmp_path / "pid").read_text())
    while time.monotonic() < deadline and Path(f"/proc/{child}").exists():
        if "\nState:\tZ" in Path(f"/proc/{child}/status").read_text():
            break  # an orphan that is dead and that nobody has waited for
        time.sleep(0.05)
    else:
        assert not Path(f"/proc/{child}").exists()


def test_both_reports_have_every_part_so_far(tmp_path: Path) -> None:
    found = check([script("first", "print('one\\n```')"), Part("second", (), 1, "no cluster here")], tmp_path)
    report = json.loads((tmp_path / "gpu-check.json").read_text())
    assert [(each["name"], each["outcome"]) for each in report["parts"]] == [("first", "ok"), ("second", "skipped")]
    page = (tmp_path / "gpu-check.md").read_text()
    assert "| second | skipped | 0 |  |" in page
    assert "no cluster here" in page
    assert page.count("```") == 4, "what a part prints does not end its block"
    assert page == "\n".join(markdown(found)) + "\n"


def test_the_worst_part_decides_and_a_skipped_one_does_not() -> None:
    def code(*outcomes: str) -> int:
        return exit_code([Finding("a", outcome, 0.0, None, ()) for outcome in outcomes])  # type: ignore[arg-type]

    assert code("ok", "skipped") == 0
    assert code("ok", "no GPU") == 21
    assert code("no GPU", "failed") == code("too slow", "ok") == 1


def test_the_limits_leave_it_under_ten_minutes_and_what_is_missing_is_named() -> None:
    here = parts({}, jax=False)
    assert [part.name for part in here if not part.skipped] == ["doctor"]
    all_parts = parts({"ATB_TEST_KUBECONFIG": "x"}, jax=True)
    assert not any(part.skipped for part in all_parts)
    assert sum(part.limit for part in all_parts) < 600


def test_the_doctors_part_ends_with_21_here(tmp_path: Path) -> None:
    doctor = parts({}, jax=False)[0]
    if os.path.exists("/dev/nvidia0"):
        pytest.skip("this machine has a GPU")
    found = run_part(doctor)
    assert (found.outcome, found.code) == ("no GPU", 21)
    assert any("1 GPU asked for, 0 seen" in line for line in found.output)
