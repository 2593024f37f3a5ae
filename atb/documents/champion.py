"""The documents of promotion: the champion's pointer, and what was decided, one entry a decision."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal

from atb.contract.names import JobName, RunName
from atb.documents.result import FileEntry, Rule
from atb.schema import Document

Action = Literal["promote", "decline", "rollback", "demote"]


class Champion(Document):
    """The model that serves one symbol, timeframe, preset, target and horizon: what ``current.json`` holds.

    ``entry`` is the history key of the decision that made it so, which also makes each pointer's content unique.
    ``fallback`` is the history key of what a rollback returns to. Bars from ``unseen_from`` on had no part in its
    training. Metrics are the result's, so that a list needs nothing else. ``files`` carry size and sha256: a reader
    can verify all it fetches. ``vacant``: this one was demoted, with none before it to serve in its place.
    """

    kind: ClassVar[str] = "champion"

    symbol: str
    timeframe: str
    preset: str
    target: str = "return"
    horizon: int = 1
    run: RunName
    job: JobName
    result: str
    spec_digest: str
    as_of: datetime
    unseen_from: datetime
    synthetic: bool = False
    metrics: dict[str, float]
    baselines: dict[str, dict[str, float]]
    files: tuple[FileEntry, ...]
    promoted: datetime
    by: str
    entry: str
    fallback: str | None = None
    vacant: bool = False


class HistoryEntry(Document):
    """One decision. It is written before the pointer moves: it took effect if the pointer, or a later entry that
    took effect, names it. ``replaced`` is the history key of what the pointer named at that moment.
    """

    kind: ClassVar[str] = "history-entry"

    action: Action
    symbol: str
    timeframe: str
    preset: str
    target: str = "return"
    horizon: int = 1
    run: RunName
    job: JobName
    time: datetime
    by: str
    why: str
    gate: tuple[Rule, ...] = ()
    champion: Champion | None = None
    replaced: str | None = None
