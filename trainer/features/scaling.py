"""Scaling, fitted on train rows and carried with the model: to mean 0 and standard deviation 1."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from atb.errors import DataError
from trainer.bars.frame import Floats
from trainer.features.sets import Features

_CHUNK = 1 << 12
"""Rows at a time: the float64 copies that are made on the way stay in a processor's cache."""
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
        defined = _defined_rows(x)
        if not len(defined):
            raise DataError("no row to fit the scaler on: every train row has an undefined feature")
        mean = defined.mean(axis=0, dtype=np.float64)
        squares = np.zeros((1, x.shape[1]))
        for rows in _chunks(len(defined)):
            apart = defined[rows] - mean
            # rows are added one after the other, as NumPy's own std does it, so that the sum has the same bits
            squares = np.add.reduce(np.concatenate([squares, apart * apart]), axis=0, keepdims=True)
        return cls(mean, _usable(np.sqrt(squares[0] / len(defined)), mean))

    def transform(self, x: npt.NDArray[Any]) -> Features:
        """Scaled rows, float32, of the shape of ``x`` ``[…, F]``."""
        scaled = np.empty(x.shape, np.float32)
        for rows in _chunks(len(x)):
            scaled[rows] = (x[rows] - self.mean) / self.scale
        return scaled

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
        """Log-returns, float64, from the net's outputs."""
        return np.asarray(y, np.float64) * self.scale + self.mean

    def price(self, y: npt.NDArray[Any], last_close: Floats) -> Floats:
        """Prices from the net's outputs and the last close of each window: ``last_close × exp(return)``."""
        price: Floats = last_close * np.exp(self.inverse_transform(y))
        return price

    def to_dict(self) -> dict[str, float]:
        """For scaler.json."""
        return {"mean": self.mean, "scale": self.scale}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """The scaler that ``to_dict`` wrote, exactly."""
        return cls(float(fields["mean"]), float(fields["scale"]))


def _defined_rows(x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The rows without a NaN: a view where only the first ones have some, as in bars without a gap."""
    undefined = np.isnan(x).any(axis=1)
    first = int(np.argmin(undefined)) if len(undefined) else 0
    return x[~undefined] if undefined[first:].any() else x[first:]


def _chunks(rows: int) -> Iterator[slice]:
    return (slice(start, start + _CHUNK) for start in range(0, rows, _CHUNK))


def _usable(deviation: Any, mean: Any) -> Any:
    return np.where(deviation > _CONSTANT * np.abs(mean), deviation, 1.0)
