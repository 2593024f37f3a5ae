"""Why a Job waits in its queue, from Kueue's own Workload."""

from __future__ import annotations

from typing import Any

import pytest

from launcher.kubernetes.objects.kueue import TOO_LARGE, waiting_reason

FEW = "couldn't assign flavors to pod set main: insufficient unused quota for nvidia.com/gpu in flavor a, 1 more needed"
NEVER = "couldn't assign flavors to pod set main: insufficient quota for nvidia.com/gpu in flavor a, request > maximum "
NEVER += "capacity (2 > 1)"
OLDER = (
    "insufficient quota for cpu in flavor a, previously considered podsets requests (16) + current podset request (8) "
)
OLDER += "> maximum capacity (16)"


def workload(*conditions: tuple[str, str, str]) -> dict[str, Any]:
    found = [{"type": kind, "status": status, "message": message} for kind, status, message in conditions]
    return {"metadata": {"name": "w"}, "status": {"conditions": found}}


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ([("QuotaReserved", "False", FEW)], FEW),
        ([("QuotaReserved", "False", f"{FEW},\n  really")], f"{FEW}, really"),
        ([("QuotaReserved", "False", NEVER)], f"{TOO_LARGE}: {NEVER}"),
        ([("QuotaReserved", "False", OLDER)], f"{TOO_LARGE}: {OLDER}"),
        ([("QuotaReserved", "False", f"{NEVER}, insufficient unused quota for nvidia.com/gpu in flavor b")], ""),
        ([("QuotaReserved", "False", f"{NEVER}. Pending the preemption of 2 workload(s)")], ""),
        ([("QuotaReserved", "True", ""), ("Admitted", "False", "waits for its checks")], "waits for its checks"),
        ([("Admitted", "True", "")], None),
        ([], "waits for its queue"),
    ],
)
def test_the_workload_says_why_and_what_can_never_be(conditions: Any, message: str | None) -> None:
    reason = waiting_reason(workload(*conditions))
    if message == "":
        assert TOO_LARGE not in reason
        assert NEVER in reason
    else:
        assert reason == (message or "")
