"""The documents of evidence: a model's test rows as it leaves them, and the ledger of a model key."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, ClassVar, Self

from pydantic import AwareDatetime, Field, model_validator

from atb.contract.names import JobName, RunName
from atb.schema import Document, Part, canonical_json

MOST_ROWS = 20_000
"""Of more test rows the latest are kept."""
_Numbers = Annotated[tuple[float, ...], Field(max_length=MOST_ROWS)]


class TestRows(Document):
    """A model's forecasts of its test rows and the outcomes: ``evidence.json`` of a bundle.

    ``time`` is the open time in milliseconds of each window's last bar, ``step_ms`` a bar's length. ``forecast``,
    ``outcome`` and ``linear`` (the linear baseline's forecast) are beyond the ``bar``: for returns the log-return to
    the close ``horizon`` bars on, since the bar is that the price stays. ``scale`` is how large an outcome was to be
    expected at each row, from rows known by then. ``spread`` is the root mean square of the validation rows' forecasts.
    """

    kind: ClassVar[str] = "test-rows"
    sealed: ClassVar[bool] = False
    __test__ = False

    bar: str
    horizon: Annotated[int, Field(ge=1)]
    step_ms: Annotated[int, Field(ge=1)]
    spread: Annotated[float, Field(ge=0)]
    time: Annotated[tuple[int, ...], Field(max_length=MOST_ROWS)]
    forecast: _Numbers
    outcome: _Numbers
    scale: Annotated[tuple[Annotated[float, Field(ge=0)], ...], Field(max_length=MOST_ROWS)]
    linear: _Numbers = ()

    def to_bytes(self) -> bytes:
        """Without spaces, since it has thousands of numbers; its digest is in the result."""
        return canonical_json(self.model_dump(mode="json"))

    @model_validator(mode="after")
    def _columns_are_rows(self) -> Self:
        lengths = {len(self.time), len(self.forecast), len(self.outcome), len(self.scale)}
        if len(lengths) > 1 or len(self.linear) not in (0, len(self.time)):
            raise ValueError("its columns are not of one length")
        if any(later <= earlier for earlier, later in pairwise(self.time)):
            raise ValueError("its rows are not in order of time")
        return self


class PanelNumbers(Part):
    """Means over hours with their t: skill over the bar in units of each row's scale, Spearman's correlation of
    forecasts and outcomes between symbols, and what a long–short portfolio earns after costs, in basis points; None for
    volatility, which is not traded on."""

    skill: float
    skill_t: float
    rank_ic: float
    rank_ic_t: float
    long_short_bps: float | None = None
    long_short_t: float | None = None


class Panel(Part):
    """What the models of one kind show together; ``linear`` are the linear baseline's numbers on the same rows."""

    name: str
    symbols: int
    hours: int
    model: PanelNumbers
    linear: PanelNumbers | None = None


class JobEvidence(Part):
    """What a candidate's model key had shown when its run was collected. ``problem``: why that is not known."""

    job: JobName
    log_e: float | None
    rows: int = 0
    models: int = 0
    problem: str = ""


class RunEvidence(Document):
    """What a run's candidates have shown together, as of its latest collection: ``bound`` is e-BH's for all of them."""

    kind: ClassVar[str] = "run-evidence"

    run: RunName
    fdr: float
    bound: float
    candidates: int
    jobs: tuple[JobEvidence, ...]
    panels: tuple[Panel, ...] = ()


class LedgerEntry(Document):
    """The ledger of a model key after one candidate; entries are numbered from 1 and never change.

    The candidate spent ``rows`` rows, the last of them at ``spent_until`` (the open time of the window's last bar):
    a later one can spend only what comes after. ``log_e`` is the logarithm of the e-value of all ``total_rows`` rows,
    and ``wealth`` what it is made of, by class and stake. ``candidates`` counts models, also those that found nothing
    new to spend; ``recent`` names the latest of them as RUN/JOB. ``sharpe_mean`` and ``sharpe_squares`` (the sum of
    squared deviations) are over their backtests' Sharpe ratios, by the year.
    """

    kind: ClassVar[str] = "ledger-entry"

    number: Annotated[int, Field(ge=1)]
    run: str
    job: str
    recorded: AwareDatetime
    horizon: Annotated[int, Field(ge=1)]
    rows: int
    spent_until: AwareDatetime | None
    total_rows: int
    candidates: int
    log_e: float
    wealth: tuple[tuple[float, ...], ...]
    recent: tuple[str, ...]
    sharpe_mean: float = 0.0
    sharpe_squares: float = 0.0
