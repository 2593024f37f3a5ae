"""The e-value of a model key over the rows it has spent, as a PNG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from atb.contract.runs import DEFAULT_FDR
from atb.documents.evidence import LedgerEntry
from atb.registry.betting import e_bh_bound
from trainer.bundle.charts import MODEL, QUIET, new_panels, save
from trainer.date_axis import set_date_axis


def draw_evidence(title: str, entries: Sequence[LedgerEntry], path: Path) -> Path:
    """One point a candidate at the last row it spent, on a logarithmic scale; 1 means no evidence."""
    figure, (axes,) = new_panels(f"{title}: evidence", (1,))
    shown = [(entry.spent_until, entry.log_e) for entry in entries if entry.spent_until is not None]
    at = np.array([until.replace(tzinfo=None) for until, _ in shown], "datetime64[s]")
    values = [log_e / math.log(10) for _, log_e in shown]
    axes.step(at, values, where="post", marker="o", markersize=3, color=MODEL, label="evidence so far")
    axes.axhline(0.0, color=QUIET, linewidth=0.8, linestyle=":", label="no evidence")
    alone = e_bh_bound([], DEFAULT_FDR)
    axes.axhline(
        math.log10(alone), color=QUIET, linewidth=0.8, linestyle="--", label=f"bound of a model alone, {alone:g}"
    )
    axes.legend(loc="upper left", frameon=False, fontsize=9)
    axes.set_ylabel("log10 of the e-value")
    if shown:
        set_date_axis(axes, at)
    return save(figure, path)
