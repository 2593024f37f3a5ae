"""How a job without a result ends: what is written down of it, and what a job is given up for."""

from __future__ import annotations

from datetime import UTC, datetime

from atb.contract import keys
from atb.documents.attempt import Verdict
from atb.storage import Store
from launcher.kubernetes.control.observe import Observation
from launcher.kubernetes.objects.job_status import JobStatus
from launcher.records.job_record import latest_attempt


def write_verdict(store: Store, run: str, job: str, found: Observation, latest: JobStatus | None, now: float) -> None:
    """Leave in the store why a job has no result, for the manifest and for whoever asks later. Raises StoreError."""
    # the store counts attempts over resumes, and a verdict is void once a later one has begun
    prefix = keys.attempts_prefix(run, job)
    begun = latest_attempt([f"attempts/{entry.key[len(prefix) :]}" for entry in store.list(prefix)])
    verdict = Verdict(
        job=job,
        state="interrupted" if found.state == "interrupted" else "failed",
        category=found.category,
        reason=found.reason,
        node=found.node or None,
        attempts=max(found.attempts, begun),
        memory_limit=latest.memory if latest else None,
        recorded=datetime.fromtimestamp(now, UTC),
    )
    store.put(keys.verdict(run, job), verdict.to_bytes())


def giving_up(found: Observation) -> tuple[str, str]:
    """Category and reason of a job whose time in one state is over."""
    assert found.clock is not None
    category = found.category or ("start" if found.node else "unschedulable")
    if found.state == "running":
        category = "deadline"
    elif found.state == "interrupted" and category != "vanished":
        category = "node-lost"
    return category, f"given up after {found.clock.seconds / 60:.0f} min: {found.reason or found.state}"
