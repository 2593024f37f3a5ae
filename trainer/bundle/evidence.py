"""The e-value of a model key over the rows it has spent, as a PNG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

from atb.documents.evidence import LedgerEntry
from trainer.bundle.charts import MODEL, QUIET, new_panels, save


def draw_evidence(title: str, entries: Sequence[LedgerEntry], path: Path) -> Path:
    """One point a candidate at the last row it spent, on a logarithmic scale; 1 means no evidence."""
    figure, (axes,) = new_panels(f"{title}: evidence", (1,))
    shown = [(entry.spent_until, entry.log_e) for entry in entries if entry.spent_until is not None]
    axes.step(
        np.array([until.replace(tzinfo=None) for until, _ in shown], "datetime64[s]"),
        [log_e / math.log(10) for _, log_e in shown],
        where="post",
        marker="o",
        markersize=3,
        color=MODEL,
    )
    axes.axhline(0.0, color=QUIET, linewidth=0.8, linestyle=":")
    axes.set_ylabel("log10 of the e-value")
    locator = AutoDateLocator()
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    return save(figure, path)
