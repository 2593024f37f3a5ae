"""Bars in an ONNX graph, as the features of a set are written from them: by ours and by plug-ins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainer.bars.frame import Floats
from trainer.export.graph import Graph

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Stretch:
    """Bars float64 ``[batch, rows, 5]`` in a graph, of which features are wanted for the last ``wanted`` rows.

    ``time``: their open times, int64 ``[batch, rows]`` in milliseconds, where the set reads the clock. ``step_ms``: a
    bar's length.
    """

    graph: Graph
    bars: str
    rows: int
    wanted: int
    time: str | None = None
    step_ms: int = 0

    def column(self, index: int, first: int, stop: int) -> str:
        """One column's rows ``[first, stop)``: ``[batch, stop - first, 1]``."""
        rows = self.bars if stop - first == self.rows else self.graph.slice(self.bars, first, stop, 1)
        return self.graph.slice(rows, index, index + 1, 2)

    def last(self, index: int) -> str:
        """One column's wanted rows."""
        return self.column(index, self.rows - self.wanted, self.rows)

    def previous(self, index: int) -> str:
        """One column's rows one before each wanted one."""
        return self.column(index, self.rows - self.wanted - 1, self.rows - 1)

    def average(self, column: str, rows: int, function: Callable[[Floats], Floats]) -> str:
        """A linear indicator of ``column`` ``[batch, rows, k]`` on the wanted rows: ``[batch, wanted, k]``."""
        return self.weigh(column, np.stack([function(unit)[-self.wanted :] for unit in np.eye(rows)], axis=1))

    def weigh(self, column: str, matrix: Matrix) -> str:
        """``matrix`` ``[wanted, rows]`` times a column ``[batch, rows, k]``: ``[batch, wanted, k]``."""
        assert np.isfinite(matrix).all(), "the warm-up is too short for this indicator"
        return self.graph.node("MatMul", self.graph.constant(matrix, np.float64), column)

    def number(self, value: float) -> str:
        """A float64 constant."""
        return self.graph.constant(value, np.float64)
