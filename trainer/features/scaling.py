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
_SIDE_BY_SIDE = 64
"""Rows that are worked on as one: NumPy's inner loop would else run over F numbers, several times as slow."""
_BLOCK = 256 * _SIDE_BY_SIDE
"""Rows that fit a core's cache in float64."""


@dataclass(frozen=True, eq=False)
class Scaler:
    """Scales each column of the features. ``mean`` and ``scale`` are float64 ``[F]``."""

    mean: Floats
    scale: Floats

    @classmethod
    def fit(cls, x: npt.NDArray[Any]) -> Self:
        """From rows ``[n, F]``; rows with a NaN are left out. Raises DataError where no row is left.

        Means and squared deviations of blocks are put together as in Chan, Golub and LeVeque, "Updating formulae and a
        pairwise algorithm for computing sample variances", 1979.
        """
        count, mean, squares = 0, np.zeros(x.shape[1]), np.zeros(x.shape[1])
        for begin in range(0, len(x), _BLOCK):
            block = np.array(x[begin : begin + _BLOCK], np.float64, order="C")
            if np.isnan(block).any():
                block = block[~np.isnan(block).any(axis=1)]
            if not len(block):
                continue
            block_mean = _column_sums(block) / len(block)
            _in_place(np.subtract, block, block_mean)
            shift, total = block_mean - mean, count + len(block)
            squares += _column_sums(np.square(block, out=block)) + shift**2 * (count * len(block) / total)
            mean += shift * (len(block) / total)
            count = total
        if not count:
            raise DataError("no row to fit the scaler on: every train row has an undefined feature")
        return cls(mean, _usable(np.sqrt(squares / count), mean))

    def transform(self, x: npt.NDArray[Any]) -> Features:
        """Scaled rows, float32, of the shape of ``x`` ``[…, F]``."""
        out = np.empty(x.shape, np.float32)
        rows, flat = x.reshape(-1, x.shape[-1]), out.reshape(-1, x.shape[-1])
        for begin in range(0, len(rows), _BLOCK):
            block = np.array(rows[begin : begin + _BLOCK], np.float64, order="C")
            _in_place(np.subtract, block, self.mean)
            _in_place(np.divide, block, self.scale)
            flat[begin : begin + _BLOCK] = block
        return out

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


def _column_sums(block: Floats) -> Floats:
    """Sums over rows, of ``_SIDE_BY_SIDE`` rows at a time."""
    whole = len(block) // _SIDE_BY_SIDE * _SIDE_BY_SIDE
    wide = block[:whole].reshape(-1, _SIDE_BY_SIDE * block.shape[1]).sum(axis=0)
    sums: Floats = wide.reshape(_SIDE_BY_SIDE, -1).sum(axis=0) + block[whole:].sum(axis=0)
    return sums


def _in_place(operation: np.ufunc, block: Floats, row: Floats) -> None:
    """``block = operation(block, row)`` for each row of the block."""
    whole = len(block) // _SIDE_BY_SIDE * _SIDE_BY_SIDE
    wide = block[:whole].reshape(-1, _SIDE_BY_SIDE * block.shape[1])
    operation(wide, np.tile(row, _SIDE_BY_SIDE), out=wide)
    operation(block[whole:], row, out=block[whole:])


def _usable(deviation: Any, mean: Any) -> Any:
    return np.where(deviation > _CONSTANT * np.abs(mean), deviation, 1.0)
