"""Where a run's jobs are done: the seam between the command and a machine or a cluster."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

from atb.documents.plan import Plan
from atb.errors import SpecError
from atb.storage import Store
from launcher.plan.build import BackendName
from launcher.report.live_table import Row

Show = Callable[[Sequence[Row], str], None]
"""Called with one row a job and a note, as things change."""
Mode = Literal["create", "attach", "resume"]
"""create: start what the plan says. resume: start what has no committed result. attach: follow, on a cluster."""

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


class Backend(Protocol):
    """Does what a plan says. What became of each job is read from the store afterwards."""

    @property
    def name(self) -> BackendName:
        """How it is called in a plan."""

    @property
    def image(self) -> str | None:
        """The image that the trainings run in; None where they run this installation."""

    @property
    def options(self) -> Mapping[str, Any]:
        """What the plan keeps of it, without secrets."""

    def describe(self, jobs: int) -> str:
        """Where and how so many jobs are done, for the first line."""

    def run(self, plan: Plan, store: Store, show: Show, *, mode: Mode, wait: bool) -> int | None:
        """Do the jobs; returns the signal that stopped it before they were done, if one did."""


def choose_backend(asked: str, environment: Mapping[str, str] = os.environ, account: Path = ACCOUNT) -> tuple[str, str]:
    """The backend's name and why it is that one. ``auto`` is Kubernetes wherever a cluster is configured.

    Raises SpecError where KUBECONFIG names files that are not there: a broken configuration is no reason to train here.
    """
    if asked != "auto":
        return asked, "as asked"
    if named := environment.get("KUBECONFIG"):
        files = [Path(part).expanduser() for part in named.split(os.pathsep) if part]
        if found := next((path for path in files if path.is_file()), None):
            return "kubernetes", f"KUBECONFIG names {found}"
        raise SpecError(f"KUBECONFIG is {named} and no such file is there; correct it, or add --backend local")
    home = Path(environment.get("HOME", "~")).expanduser() / ".kube" / "config"
    if home.is_file():
        return "kubernetes", f"there is {home}"
    if "KUBERNETES_SERVICE_HOST" in environment and account.is_file():
        return "kubernetes", "this is a Pod with an account"
    return "local", "no cluster is configured"
