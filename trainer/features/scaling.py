"""Scaling, fitted on train rows and carried with the model: to mean 0 and standard deviation 1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from atb.errors import DataError
from trainer.bars.frame import Floats
from trainer.features.sets import Features

_CONSTANT = 1e-12
"""A column whose deviation is below this share of its mean does not move; its scale is 1."""


@dataclass(frozen=True, eq=False)
class Scaler:
    """Scales each column of the features. ``mean`` and ``scale`` are float64 ``[F]``."""

    mean: Floats
    scale: Floats

    @classmethod
    def fit(cls, x: npt.NDArray[Any]) -> Self:
        """From rows ``[n, F]``; rows with a NaN are left out. Raises DataError where no row is left."""
        defined = x[~np.isnan(x).any(axis=1)]
        if not len(defined):
            raise DataError("no row to fit the scaler on: every train row has an undefined feature")
        mean = defined.mean(axis=0, dtype=np.float64)
        return cls(mean, _usable(defined.std(axis=0, dtype=np.float64), mean))

    def transform(self, x: npt.NDArray[Any]) -> Features:
        """Scaled rows, float32, of the shape of ``x`` ``[…, F]``."""
        return ((x - self.mean) / self.scale).astype(np.float32)

    def to_dict(self) -> dict[str, list[float]]:
        """For scaler.json."""
        return {"mean": self.mean.tolist(), "scale": self.scale.tolist()}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """The scaler that ``to_dict`` wrote, exactly."""
        return cls(np.array(fields["mean"], np.float64), np.array(fields["scale"], np.float64))


@dataclass(frozen=True)
class TargetScaler:
    """Scales the log-return that is predicted, and brings predictions back to returns and prices."""

    mean: float
    scale: float

    @classmethod
    def fit(cls, r: Floats) -> Self:
        """From the log-returns ``[n]`` of the train windows."""
        if not len(r):
            raise DataError("no train window to fit the target's scale on")
        mean = r.mean()
        return cls(float(mean), float(_usable(r.std(), mean)))

    def transform(self, r: Floats) -> Features:
        """Scaled log-returns, float32."""
        return ((r - self.mean) / self.scale).astype(np.float32)

    def inverse_transform(self, y: npt.NDArray[Any]) -> Floats:
        """Log-returns, float64, from what the net says."""
        return np.asarray(y, np.float64) * self.scale + self.mean

    def price(self, y: npt.NDArray[Any], last_close: Floats) -> Floats:
        """Prices from what the net says and the last close of each window: ``last_close × exp(return)``."""
        price: Floats = last_close * np.exp(self.inverse_transform(y))
        return price

    def to_dict(self) -> dict[str, float]:
        """For scaler.json."""
        return {"mean": self.mean, "scale": self.scale}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """The scaler that ``to_dict`` wrote, exactly."""
        return cls(float(fields["mean"]), float(fields["scale"]))


def _usable(deviation: Any, mean: Any) -> Any:
    return np.where(deviation > _CONSTANT * np.abs(mean), deviation, 1.0)
