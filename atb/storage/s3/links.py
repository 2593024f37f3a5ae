"""A store's ways to its server, shared by all its copies: one for each length of silence that is waited for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from atb.patience import LAST_SECONDS
from atb.storage.s3.lean import LeanReader

SILENCE_SECONDS = 60.0
"""How long a server may take between two bytes."""
BRIEF_SECONDS = 20.0
"""The same for what can be left out, or is asked again soon: a claim has to be renewed within a minute, whatever became
of one connection."""
AWAY_SECONDS = 2.0
"""The same for a server that did not answer after a stop signal: each call is then tried once."""

Connect = Callable[[str, str, str | None], tuple[Any, Any]]
"""A session and a client of boto3, for the store's URL, its bucket and the endpoint."""
Hurry = Callable[[Any, Any, str | None, float], Any]
"""A client like another one of a session and an endpoint, which waits that many seconds at most between two bytes."""


@dataclass(frozen=True)
class Link:
    """A client, and what reads without its layers where the server is not AWS."""

    client: Any
    lean: LeanReader | None


class Links:
    """One session and its clients. Safe to share between threads."""

    def __init__(
        self, connect: Callable[[], tuple[Any, Any]], hurry: Hurry, bucket: str, endpoint_url: str | None
    ) -> None:
        self._connect, self._hurry, self._bucket, self._endpoint_url = connect, hurry, bucket, endpoint_url
        self._lock = threading.Lock()
        self.answered = self.away = False
        """Whether the server has ever answered, and whether it did not the last time."""
        self._open()

    def _open(self) -> None:
        self.session, client = self._connect()
        self._made = {SILENCE_SECONDS: self._link(client, SILENCE_SECONDS)}

    def of(self, *, patient: bool, stopped: bool) -> Link:
        """The link for a call: of one that can't be left out, and after a stop signal."""
        if stopped:
            silence = AWAY_SECONDS if self.away else LAST_SECONDS
        else:
            silence = SILENCE_SECONDS if patient else BRIEF_SECONDS
        with self._lock:  # a session makes one client at a time
            if (link := self._made.get(silence)) is None:
                client = self._hurry(self.session, self._made[SILENCE_SECONDS].client, self._endpoint_url, silence)
                link = self._made[silence] = self._link(client, silence)
        return link

    def renew(self, used: Link) -> None:
        """Log in anew, as the session of a link has expired, unless another thread has done so since."""
        with self._lock:
            if any(used is link for link in self._made.values()):
                self._open()

    def _link(self, client: Any, silence: float) -> Link:
        return Link(client, LeanReader(self.session, client, self._bucket, silence) if self._endpoint_url else None)
