"""HAR: volatility as a linear function of volatility over an hour, four hours, a day and a week, and of the clock.

Corsi (2009), "A simple approximate long-memory model of realized volatility", in logs, with waves of the day and the
week for the hours at which markets are busy. Its inputs are columns of the feature set ``volatility``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from trainer.bars.frame import Floats
from trainer.features.sets import Features
from trainer.features.volatility import CLOCK, LOG_VOLATILITIES

INPUTS = (*LOG_VOLATILITIES, *CLOCK)
"""The columns that it reads, by name."""


@dataclass(frozen=True, eq=False)
class Har:
    """Log volatility per bar from the last row of a window: ``inputs · weights + intercept``."""

    weights: Floats
    intercept: float

    @classmethod
    def fit(cls, inputs: npt.NDArray[Any], target: Floats) -> Self:
        """By least squares, from train rows only: ``inputs`` ``[n, len(INPUTS)]``, ``target`` ``[n]``.

        Where inputs don't differ, as the waves of the day on daily bars, their weights are 0.
        """
        x = np.asarray(inputs, np.float64)
        mean, level = x.mean(axis=0), float(target.mean())
        weights = np.linalg.lstsq(x - mean, target - level, rcond=1e-9)[0]
        return cls(weights, level - float(mean @ weights))

    def forecast(self, inputs: npt.NDArray[Any]) -> Floats:
        """Log volatility per bar, float64 ``[n]``."""
        found: Floats = np.asarray(inputs, np.float64) @ self.weights + self.intercept
        return found

    def to_dict(self) -> dict[str, Any]:
        """For scaler.json."""
        return {"columns": list(INPUTS), "weights": self.weights.tolist(), "intercept": self.intercept}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """The model that ``to_dict`` wrote, exactly."""
        return cls(np.array(fields["weights"], np.float64), float(fields["intercept"]))


def har_inputs(columns: tuple[str, ...], flat: Features, ends: npt.NDArray[np.int64]) -> Features:
    """The inputs at the rows ``ends`` of features ``[n, F]`` with these ``columns``: ``[len(ends), len(INPUTS)]``."""
    found: Features = flat[ends][:, [columns.index(name) for name in INPUTS]]
    return found
