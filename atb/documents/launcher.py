"""A launcher's heartbeat while it follows a run."""

from __future__ import annotations

from typing import ClassVar

from pydantic import AwareDatetime

from atb.schema import Document


class LauncherState(Document):
    """Written again every few seconds: the object's time, by the store's clock, says that the launcher lives."""

    kind: ClassVar[str] = "launcher"

    host: str
    process: int
    machine: str | None = None
    """What processes that see each other's PIDs share: ``atb.machine``."""
    backend: str
    started: AwareDatetime
    finished: AwareDatetime | None = None
    """When it finished in good order; None while it runs, and for ever if it was killed."""
