"""The documents of promotion: the champion's pointer, what was decided, one entry a decision, and its forecasts."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import AwareDatetime

from atb.contract.names import JobName, RunName
from atb.documents.evaluation import BandMetrics
from atb.documents.result import FileEntry, Rule
from atb.schema import Document, Part

Action = Literal["promote", "decline", "rollback", "demote"]
Direction = Literal["up", "down", "none"]


class Champion(Document):
    """The model that serves one symbol, timeframe, preset, target, horizon and market: what ``current.json`` holds.

    ``entry`` is the history key of the decision that made it so, which also makes each pointer's content unique.
    ``fallback`` is the history key of what a rollback returns to. Bars from ``unseen_from`` on had no part in its
    training. ``source``: of the bars it was trained on; empty from earlier versions. Metrics and ``bands`` (over all
    test rows) are the result's, so that a list needs nothing else. ``files`` carry size and sha256: a reader can
    verify all it fetches. ``vacant``: this one was demoted, with none before it to serve in its place.
    """

    kind: ClassVar[str] = "champion"

    symbol: str
    timeframe: str
    preset: str
    target: str = "return"
    horizon: int = 1
    market: str = "spot"
    run: RunName
    job: JobName
    result: str
    spec_digest: str
    as_of: AwareDatetime
    unseen_from: AwareDatetime
    source: str = ""
    synthetic: bool = False
    metrics: dict[str, float]
    baselines: dict[str, dict[str, float]]
    bands: tuple[BandMetrics, ...] = ()
    files: tuple[FileEntry, ...]
    promoted: AwareDatetime
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
    market: str = "spot"
    run: RunName
    job: JobName
    time: AwareDatetime
    by: str
    why: str
    gate: tuple[Rule, ...] = ()
    champion: Champion | None = None
    replaced: str | None = None


class PriceBand(Part):
    """Prices between which the close lies with probability ``level``."""

    level: float
    lower: float
    upper: float


class Signal(Document):
    """What a champion forecasts from the bars up to ``last_open``, the opening time of the last closed one.

    ``target_open`` is the opening time of the bar whose close is forecast, ``horizon`` bars later. A model of the
    return has a ``price``, the ``log_return`` to it from ``last_close``, and a ``direction``: ``up`` or ``down`` if the
    simple return exceeds ``threshold_bps`` basis points, the threshold of the model's backtest, else ``none``. A model
    of volatility has the ``volatility`` per bar, as a log-return, and by the year. ``bands`` are of the close, the
    narrowest first. ``skill`` is over persistence, on the model's test rows. The model knows bars up to ``as_of``,
    which is ``age_days`` before the forecast; bars from ``unseen_from`` on had no part in its training, and ``unseen``
    says whether the last bar is one of those. ``synthetic``: trained on or forecast from made-up bars.
    """

    kind: ClassVar[str] = "signal"

    symbol: str
    timeframe: str
    preset: str
    target: str = "return"
    horizon: int = 1
    market: str = "spot"
    run: RunName
    job: JobName
    made: AwareDatetime
    last_open: AwareDatetime
    target_open: AwareDatetime
    last_close: float
    price: float | None = None
    log_return: float | None = None
    direction: Direction | None = None
    threshold_bps: float | None = None
    volatility: float | None = None
    volatility_by_year: float | None = None
    bands: tuple[PriceBand, ...] = ()
    skill: float
    as_of: AwareDatetime
    age_days: float
    unseen_from: AwareDatetime
    unseen: bool
    synthetic: bool = False
