"""Bars of one symbol in memory: columns, not rows."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from atb.contract import timeframe as tf

COLUMNS: tuple[str, ...] = ("open", "high", "low", "close", "volume")
OPEN, HIGH, LOW, CLOSE, VOLUME = range(5)

Times = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Bars:
    """Bars of one symbol. Compare two by ``digest``.

    ``time`` int64 ``[n]``: open time in milliseconds UTC. ``values`` float64 ``[n, 5]`` in the order of COLUMNS.
    ``extra``: further numeric columns by name, float64 ``[n]`` each. ``synthetic``: made up, not from a market.
    ``origins``: what the rows were read from, each with a fingerprint that ``atb.storage.fingerprints`` can compare.
    """

    symbol: str
    timeframe: str
    time: Times
    values: Floats
    extra: dict[str, Floats] = field(default_factory=dict)
    synthetic: bool = False
    origins: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rows = len(self.time)
        assert self.time.dtype == np.int64
        assert self.values.dtype == np.float64
        assert self.values.shape == (rows, len(COLUMNS))
        for column in self.extra.values():
            assert column.dtype == np.float64
            assert column.shape == (rows,)

    def __len__(self) -> int:
        return len(self.time)

    @property
    def close(self) -> Floats:
        """Closing prices, float64 ``[n]``."""
        return self.values[:, CLOSE]

    @property
    def step_ms(self) -> int:
        """The length of one bar in milliseconds."""
        return tf.to_ms(self.timeframe)

    @functools.cached_property
    def digest(self) -> str:
        """sha256 over times, values and extra columns, in hex: equal exactly when every number is."""
        digest = hashlib.sha256(f"bars/1 {len(self)}\0".encode())
        digest.update(np.ascontiguousarray(self.time, dtype="<i8").data)
        digest.update(np.ascontiguousarray(self.values, dtype="<f8").data)
        for name in sorted(self.extra):
            digest.update(f"\0{name}\0".encode())
            digest.update(np.ascontiguousarray(self.extra[name], dtype="<f8").data)
        return digest.hexdigest()

    def rows(self, start: int, stop: int) -> Bars:
        """The rows ``start <= row < stop`` as views."""
        return self.take(slice(start, stop))

    def take(self, chosen: slice | npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> Bars:
        """The chosen rows, in the order given."""
        return replace(
            self,
            time=self.time[chosen],
            values=self.values[chosen],
            extra={name: column[chosen] for name, column in self.extra.items()},
        )


def empty_bars(symbol: str, timeframe: str, *, synthetic: bool = False) -> Bars:
    """No rows."""
    return Bars(symbol, timeframe, np.empty(0, np.int64), np.empty((0, 5)), {}, synthetic)


def join_bars(parts: list[Bars]) -> Bars:
    """All rows of all parts, one after the other. Only the extra columns that every non-empty part has are kept."""
    if len(parts) == 1:
        return parts[0]
    filled = [part for part in parts if len(part)] or parts[:1]
    names = [name for name in filled[0].extra if all(name in part.extra for part in filled)]
    return replace(
        filled[0],
        time=np.concatenate([part.time for part in filled]),
        values=np.concatenate([part.values for part in filled]),
        extra={name: np.concatenate([part.extra[name] for part in filled]) for name in names},
        origins={name: fingerprint for part in parts for name, fingerprint in part.origins.items()},
    )


def segment_starts(bars: Bars) -> Times:
    """The first row of each gap-free segment, int64; empty for no rows."""
    if not len(bars):
        return np.empty(0, np.int64)
    return np.concatenate([[0], np.flatnonzero(np.diff(bars.time) != bars.step_ms) + 1]).astype(np.int64)


def gaps(bars: Bars) -> list[tuple[int, int]]:
    """Each hole between two bars: from the close before it to the open after it, in milliseconds."""
    return [(int(bars.time[row - 1]) + bars.step_ms, int(bars.time[row])) for row in segment_starts(bars)[1:]]
