"""The plan of a run: its jobs with their specs, written before anything is started."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from atb.contract.spec import Spec
from atb.schema import Document, Part


class PlannedJob(Part):
    """One job of a plan. ``action`` skip: ``reason`` says why and ``previous`` names the run and job referenced."""

    job: str
    spec: Spec
    spec_digest: str
    action: Literal["run", "skip"] = "run"
    reason: str = ""
    previous_run: str | None = None
    previous_job: str | None = None


class Plan(Document):
    """Written before anything is started. ``options`` are the launcher's, without secrets."""

    kind: ClassVar[str] = "plan"

    run: str
    created: datetime
    backend: str
    options: dict[str, Any] = {}
    jobs: Annotated[tuple[PlannedJob, ...], Field(min_length=1)]

    @property
    def to_run(self) -> list[PlannedJob]:
        """The jobs that are not skipped, in order."""
        return [job for job in self.jobs if job.action == "run"]
