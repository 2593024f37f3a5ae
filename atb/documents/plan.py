"""The plan of a run: its jobs with their specs, written before anything is started."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from atb.contract import keys
from atb.contract.names import JobName, RunName
from atb.contract.spec import Spec
from atb.schema import Document, Part


class PlannedJob(Part):
    """One job of a plan. ``action`` skip: ``reason`` says why and ``previous`` names the run and job referenced."""

    job: JobName
    spec: Spec
    spec_digest: str
    action: Literal["run", "skip"] = "run"
    reason: str = ""
    previous_run: RunName | None = None
    previous_job: JobName | None = None

    @model_validator(mode="after")
    def _job_is_its_spec_s(self) -> Self:
        if self.job != keys.job_id(self.spec.symbol, self.spec.preset):
            raise ValueError(f"{self.job!r} is not the job of {self.spec.symbol} {self.spec.preset}")
        return self


class Plan(Document):
    """Written before anything is started. ``options`` are the launcher's, without secrets."""

    kind: ClassVar[str] = "plan"
    largest: ClassVar[int] = 64 << 20

    run: RunName
    created: AwareDatetime
    backend: str
    options: dict[str, Any] = {}
    jobs: Annotated[tuple[PlannedJob, ...], Field(min_length=1)]

    @property
    def to_run(self) -> list[PlannedJob]:
        """The jobs that are not skipped, in order."""
        return [job for job in self.jobs if job.action == "run"]
