"""A candidate: the part of a result needed to weigh its evidence."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from atb.contract.bundle import EVIDENCE
from atb.documents.result import FileEntry, Result, ResultHead
from atb.registry.champions import ModelKey


@dataclass(frozen=True, slots=True)
class Candidate:
    """The part of a result needed to weigh its evidence: small, since a run has thousands. ``rows``: the file of its
    test rows, if it has one. ``cost_bps``: what a trade costs each way, in basis points."""

    run: str
    job: str
    model_key: ModelKey
    finished: datetime
    rows: FileEntry | None
    sharpe: float = 0.0
    cost_bps: float | None = None

    @classmethod
    def of(cls, result: Result) -> Candidate:
        """What a whole result is weighed by."""
        return make_candidate(result, ModelKey.of(result.spec))

    @property
    def name(self) -> str:
        """Its name in the ledger."""
        return f"{self.run}/{self.job}"


def make_candidate(result: Result | ResultHead, model_key: ModelKey) -> Candidate:
    """What the result of a model key is weighed by."""
    terms = result.backtest.rules
    return Candidate(
        run=result.run,
        job=result.job,
        model_key=model_key,
        finished=result.finished,
        rows=next((file for file in result.files if file.path == EVIDENCE), None),
        sharpe=result.backtest.model.get("sharpe", 0.0),
        cost_bps=terms.fee_bps + terms.slippage_bps if terms else None,
    )
