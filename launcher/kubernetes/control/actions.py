"""What a launcher can do about a run: each thing as a value. Decided in ``decide``, done in ``perform``."""

from __future__ import annotations

from dataclasses import dataclass

from launcher.kubernetes.control.observe import Observation
from launcher.kubernetes.objects.job_status import JobStatus
from launcher.kubernetes.objects.jobs import JobAttempt


@dataclass(frozen=True, slots=True)
class Create:
    """Create a Job, or find it where another launcher has.

    ``after`` is how the last attempt ended. ``again``: somebody may have cancelled the run by now, so ask.
    ``fresh``: the verdict of an earlier life of the run is void and is deleted first.
    """

    job: str
    attempt: JobAttempt
    after: Observation | None = None
    again: bool = False
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class LookForResult:
    """Read a job's result; ``latest`` is the uid of its latest Job, empty where it has none.

    ``vanished``: its Jobs are gone, so ask as well whether somebody has cancelled the run.
    """

    job: str
    latest: str
    vanished: bool = False


@dataclass(frozen=True, slots=True)
class GiveUp:
    """End a live Job whose time is over, and annotate it with the reason."""

    job: str
    status: JobStatus
    category: str
    reason: str


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete a Job that was created while the run was being cancelled."""

    job: str
    status: JobStatus


@dataclass(frozen=True, slots=True)
class RemoveFinished:
    """Delete the ended Jobs of a job that has its result, once the log and exit report of ``attempt`` are stored."""

    job: str
    names: tuple[str, ...]
    attempt: int


@dataclass(frozen=True, slots=True)
class WriteVerdict:
    """Write down why a job ends without a result. It is then final."""

    job: str
    found: Observation
    latest: JobStatus | None
    now: float


@dataclass(frozen=True, slots=True)
class RememberMemory:
    """Remember the memory that the next run begins with, and the peak that was seen."""

    job: str
    memory: str
    peak_bytes: int
    now: float


@dataclass(frozen=True, slots=True)
class Finish:
    """A job has its result and is final."""

    job: str


@dataclass(frozen=True, slots=True)
class MarkCreated:
    """Note on the run's ConfigMap that every Job has been created: what is missing later has vanished."""

    now: float


@dataclass(frozen=True, slots=True)
class ReadProgress:
    """Read how far the trainings are."""


@dataclass(frozen=True, slots=True)
class ReadWarnings:
    """Read the warning events of the namespace."""


@dataclass(frozen=True, slots=True)
class ReadQueue:
    """Read what the queue says of the Jobs that wait in it."""


@dataclass(frozen=True, slots=True)
class Leave:
    """Nothing is left to do here. ``silent``: because the API server has not answered for a long time."""

    silent: bool = False


JobAction = Create | LookForResult | GiveUp | Delete | RemoveFinished
"""One at a time for each job."""
Look = ReadProgress | ReadWarnings | ReadQueue
"""What is polled; a launcher does not stay for it."""
Action = JobAction | WriteVerdict | RememberMemory | Finish | MarkCreated | Look | Leave


# outcomes of actions


@dataclass(frozen=True, slots=True)
class Created:
    """An answer at ``answered`` (monotonic clock) says that the Job exists.

    ``cancelled``: meanwhile somebody has cancelled the run.
    """

    status: JobStatus
    answered: float
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class PutOff:
    """The creation may succeed later."""

    category: str
    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The creation will never succeed."""

    reason: str


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Somebody has cancelled the run, so nothing was created."""


@dataclass(frozen=True, slots=True)
class Unanswered:
    """The API server did not answer; it is done again later."""

    reason: str


@dataclass(frozen=True, slots=True)
class StoreSilent:
    """The store did not answer; it is read again soon."""

    reason: str


@dataclass(frozen=True, slots=True)
class Gone:
    """The Job was not there any more."""
