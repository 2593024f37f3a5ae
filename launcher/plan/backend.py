"""Where a run's jobs are done: the seam between the command and a machine or a cluster.

A backend is a folder with a module that has ``detect`` and ``open_backend``, named in ``launcher.plan.backends`` or by
an entry point of the group ``atb.backends``. Nothing outside that folder knows which backends there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from atb.documents.plan import Plan, PlannedJob
from atb.errors import SpecError
from atb.storage import Store
from launcher.plan.cost import Shape
from launcher.plan.options import LaunchOptions
from launcher.report.live_table import Row

Show = Callable[[Sequence[Row], str], None]
"""Called with one row per job and a note, as things change."""
Say = Callable[[str], None]
"""Called with one line for the user."""
Mode = Literal["create", "attach", "resume"]
"""create: start what the plan says. resume: start what has no committed result. attach: follow what others started."""
Level = Literal["ok", "note", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the preflight. An error stops the launch; a terminal asks for confirmation after a warning."""

    level: Level
    name: str
    text: str


@dataclass(frozen=True)
class Setup:
    """What a backend is opened with.

    ``flags`` are backends' options from the command line and the environment, ``defaults`` those of atb.toml.
    ``given`` names what stands on the command line itself: a backend refuses what is not for it of those, and
    ignores the rest. ``plan`` is the run it is opened for, None before a new one; it beats all but ``given``.
    """

    launch: LaunchOptions = field(default_factory=LaunchOptions)
    flags: Mapping[str, Any] = field(default_factory=dict)
    given: Set[str] = frozenset()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    plan: Plan | None = None


class BackendModule(Protocol):
    """What a backend's module has."""

    def detect(self, environment: Mapping[str, str]) -> str | None:
        """Why ``--backend auto`` means this backend here; None where it does not. Raises SpecError."""

    def open_backend(self, setup: Setup) -> Backend:
        """The backend. Raises SpecError where an option is not for it, Unavailable where it can't be reached."""

    def shape_of(self, plan: Plan) -> Shape:
        """How the jobs of a plan are run, for its cost. A plug-in may leave this out. Raises SpecError."""


class Backend(Protocol):
    """Runs a plan. The outcome of each job is read from the store afterwards."""

    @property
    def name(self) -> str:
        """How it is called in a plan and by ``--backend``."""

    @property
    def image(self) -> str | None:
        """The image that the trainings run in; None where they run this installation."""

    @property
    def options(self) -> Mapping[str, Any]:
        """What the plan keeps of it, without secrets."""

    @property
    def outlives_launcher(self) -> bool:
        """Whether jobs continue when the launcher ends, and can be followed later."""

    @property
    def exit_codes(self) -> Mapping[str, int]:
        """The launcher's exit code for a job that failed, by its category."""

    def describe(self, jobs: int) -> str:
        """Where and how this number of jobs is done, for the first line."""

    def check(self, plan: Plan, store: Store) -> Sequence[Check]:
        """What can be known before anything is started."""

    def render(self, plan: Plan, store: Store, *, server: bool) -> Iterator[str] | None:
        """The objects it would create, as YAML documents; None where it creates none. ``server``: as its API server
        would store them."""

    def run(self, plan: Plan, store: Store, show: Show, *, mode: Mode, wait: bool) -> int | None:
        """Do the jobs; returns the signal that stopped it before they were done, if one did."""

    def rows(self, plan: Plan, store: Store) -> Sequence[Row]:
        """What it knows now and the store does not, one row per job; none where the store knows all."""

    def explain(self, plan: Plan, store: Store, planned: PlannedJob) -> Sequence[str]:
        """What it knows of a job and the store does not, as lines."""

    def print_logs(
        self, plan: Plan, store: Store, job: str | None, say: Say, *, follow: bool, tail: int | None
    ) -> None:
        """The log of the latest attempt of a job, or of all. Raises SpecError for what it can't do."""

    def cancel(self, plan: Plan, confirm: Say) -> str:
        """Stop what is left of a run; ``confirm`` raises where the user says no. Returns what was done."""

    def clean(self, plan: Plan, *, force: bool) -> str:
        """Remove a run's objects; returns what was done. Raises SpecError where jobs are live and not ``force``."""


def validate_checks(found: Sequence[Check]) -> None:
    """Raises SpecError with the first problem and the number of others."""
    errors = [check for check in found if check.level == "error"]
    if errors:
        more = f" (and {len(errors) - 1} more above)" if len(errors) > 1 else ""
        raise SpecError(f"nothing was created: {errors[0].name}: {errors[0].text}{more}")


def run_exit_code(categories: Sequence[str], exit_codes: Mapping[str, int]) -> int:
    """The exit code of a run that did not come to its end: the one its failures share, else 1; 0 without any."""
    codes = {exit_codes.get(name, 1) for name in categories}
    return 0 if not codes else codes.pop() if len(codes) == 1 else 1


def not_in_cluster(plan: Plan) -> SpecError:
    """The error of a command for runs whose jobs go on without their launcher."""
    return SpecError(f"run {plan.run} ran on a machine, not in a cluster; see: atb-launch status {plan.run}")
