"""The live record of a champion: its forecasts of bars that closed after its cut, and the outcomes."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import AwareDatetime, Field

from atb.contract.names import RunName
from atb.schema import Document, Part


class RecordSpan(Part):
    """Some rows that were scored together. ``logs``: the logarithm of the bets against the champion, by class."""

    rows: Annotated[int, Field(ge=0)]
    logs: tuple[float, ...]


class LiveBand(Part):
    """How many of ``rows`` live closes lay within the band of a level."""

    level: Annotated[float, Field(gt=0, lt=1)]
    rows: Annotated[int, Field(ge=0)]
    inside: Annotated[int, Field(ge=0)]

    @property
    def coverage(self) -> float:
        """The share of the closes that lay within the band."""
        return self.inside / self.rows if self.rows else 0.0


class RecordEntry(Document):
    """The record of a model key after one more run scored its champion; entries are numbered from 1, and never change.

    ``champion`` is the history key that made it champion: another one begins anew. ``rows`` are new in this entry, the
    last of them at ``until`` (the open time of the window's last bar); ``total_rows`` are all since the champion's cut,
    over which ``squares`` and ``bar_squares`` sum the squared errors of the champion and of its bar. ``window`` has the
    latest rows that the bets against it look at, and ``log_behind`` is the logarithm of their e-value. ``drift`` is the
    population stability index of each input over the latest rows against those before the cut, and
    ``days`` how long ago the cut was at the last row. ``bands`` count over all rows, by level; empty where the champion
    has none, and in entries of earlier versions.
    """

    kind: ClassVar[str] = "record-entry"

    number: Annotated[int, Field(ge=1)]
    champion: str
    run: RunName
    recorded: AwareDatetime
    rows: int
    until: AwareDatetime
    total_rows: int
    squares: float
    bar_squares: float
    window: tuple[RecordSpan, ...]
    log_behind: float
    drift: dict[str, float] = {}
    days: int = 0
    bands: tuple[LiveBand, ...] = ()

    @property
    def skill(self) -> float:
        """1 − RMSE / RMSE of the bar over all rows of the record."""
        if self.bar_squares <= 0:
            return 0.0 if self.squares <= 0 else -1.0
        return 1.0 - float((self.squares / self.bar_squares) ** 0.5)
