"""A worker's heartbeat while it takes jobs of a run."""

from __future__ import annotations

from typing import ClassVar

from pydantic import AwareDatetime

from atb.schema import Document


class WorkerState(Document):
    """Overwritten every few seconds: the object's time says that the worker lives, and what the store's clock shows."""

    kind: ClassVar[str] = "worker"

    worker: str
    host: str
    pod: str | None = None
    node: str | None = None
    slots: int
    gpus: int = 0
    running: tuple[str, ...] = ()
    attempts: int = 0
    """How many attempts it has seen to their end."""
    started: AwareDatetime
    ready: AwareDatetime | None = None
    """When it had imported what every training needs."""
    updated: AwareDatetime
    finished: AwareDatetime | None = None
