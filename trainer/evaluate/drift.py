"""Whether a model's inputs still look as they did when it learnt: the population stability index."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Inputs = npt.NDArray[np.floating[Any]]

BINS = 10
FEWEST_ROWS = 100
"""Of fewer rows the index says nothing: by chance alone it is about (bins − 1) / rows."""
_EMPTY = 1e-4
"""The least share of a bin, so that an empty one stays finite."""


def stability_indices(names: Sequence[str], before: Inputs, since: Inputs) -> Iterator[tuple[str, float]]:
    """Yield (feature, index) for features ``[rows, len(names)]`` before a cut and since; none where either has too few
    defined rows.

    Σ (q − p) ln(q / p) over the deciles of ``before``. As a habit of the trade, below 0.1 is stable, above 0.25 is
    another population (Siddiqi 2006, "Credit risk scorecards").
    """
    for column, name in enumerate(names):
        old, new = (part[np.isfinite(part)] for part in (before[:, column], since[:, column]))
        if min(len(old), len(new)) >= FEWEST_ROWS:
            yield name, stability_index(old, new)


def stability_index(before: Inputs, since: Inputs) -> float:
    """The index of one feature."""
    edges = np.unique(np.quantile(before, np.linspace(0, 1, BINS + 1)[1:-1]))
    shares = [
        np.bincount(np.searchsorted(edges, part, side="right"), minlength=len(edges) + 1) / len(part)
        for part in (before, since)
    ]
    old, new = (np.maximum(share, _EMPTY) for share in shares)
    return float(np.sum((new - old) * np.log(new / old)))
