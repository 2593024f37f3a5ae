"""A store's ways to its server, shared by all its copies: a patient one, and one for writes that can be left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from atb.storage.s3.lean import LeanReader

SILENCE_SECONDS = 60.0
"""How long a server may take between two bytes."""
BRIEF_SECONDS = 10.0
"""The same for what can be left out, or is asked again soon: a claim has to be renewed within a minute, whatever became
of one connection."""

Connect = Callable[[str, str, str | None], tuple[Any, Any]]
"""A session and a client of boto3, for the store's URL, its bucket and the endpoint."""
Hurry = Callable[[Any, Any, float], Any]
"""A client like another one of a session, which waits for so many seconds at most between two bytes."""


@dataclass(frozen=True)
class Link:
    """A client, and what reads without its layers where the server is not AWS."""

    client: Any
    lean: LeanReader | None


class Links:
    """One session and its clients. Safe to share between threads."""

    def __init__(self, connect: Callable[[], tuple[Any, Any]], hurry: Hurry, bucket: str, *, lean: bool) -> None:
        self._connect, self._hurry, self._bucket, self._lean = connect, hurry, bucket, lean
        self._open()

    def _open(self) -> None:
        self.session, client = self._connect()
        self.patient = self._link(client, SILENCE_SECONDS)
        self._brief: Link | None = None

    @property
    def brief(self) -> Link:
        """The way that gives a silent connection up soon."""
        made = self._brief
        if made is None:
            client = self._hurry(self.session, self.patient.client, BRIEF_SECONDS)
            made = self._brief = self._link(client, BRIEF_SECONDS)
        return made

    def renew(self, used: Link) -> None:
        """Log in anew, as the session of a link has expired, unless another thread has done so since."""
        if used is self.patient or used is self._brief:
            self._open()

    def _link(self, client: Any, silence: float) -> Link:
        return Link(client, LeanReader(self.session, client, self._bucket, silence) if self._lean else None)
