"""The e-value of a model key over the rows it has spent, as a PNG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from atb.contract.runs import DEFAULT_FDR
from atb.documents.evidence import LedgerEntry
from atb.errors import SpecError
from atb.registry.betting import e_bh_bound
from trainer.bundle.canvas import DASHED, DOTTED, SMALL, Pen
from trainer.bundle.charts import MODEL, QUIET, new_canvas
from trainer.bundle.panel import Curve, Level, Panel, Series, draw_panel
from trainer.bundle.scales import Scale, date_scale, linear_scale, to_seconds


def draw_evidence(title: str, entries: Sequence[LedgerEntry], path: Path) -> Path:
    """One point a candidate at the last row it spent, on a logarithmic scale; 1 means no evidence. Raises SpecError
    where the file can't be written."""
    shown = [(entry.spent_until, entry.log_e) for entry in entries if entry.spent_until is not None]
    at = np.array([until.replace(tzinfo=None) for until, _ in shown], "datetime64[s]")
    values = np.array([log_e / math.log(10) for _, log_e in shown])
    alone = e_bh_bound([], DEFAULT_FDR)
    seconds, bound = to_seconds(at), math.log10(alone)
    series: list[Series] = [
        Level(0.0, Pen(QUIET, 0.8, DOTTED), "no evidence"),
        Level(bound, Pen(QUIET, 0.8, DASHED), f"bound of a model alone, {alone:g}"),
    ]
    if shown:
        steps = np.repeat(values, 2)[:-1]
        series.insert(0, Curve(np.repeat(seconds, 2)[1:], steps, Pen(MODEL), "evidence so far"))
        series.append(Curve(seconds, values, Pen(MODEL), dots=3.0))
    canvas, (box,) = new_canvas((1,))
    x = date_scale(at) if shown else Scale(0.0, 1.0, (), ())
    y = linear_scale([values, np.array([0.0, bound])], 9)
    unit = "UTC" if shown else ""
    panel = Panel(box, x, y, series, f"{title}: evidence", unit, "log10 of the e-value", x_name_size=SMALL)
    draw_panel(canvas, panel)
    try:
        return canvas.save(path)
    except OSError as error:
        raise SpecError(f"{path} can't be written: {error.strerror}; name another file, in a folder there is") from None
