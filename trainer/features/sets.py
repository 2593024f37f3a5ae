"""Feature sets: which columns a net sees, how they are computed, and what identifies them."""

from __future__ import annotations

import functools
import hashlib
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
import numpy.typing as npt

from atb.contract.features import canonical_features, split_features
from trainer.bars.frame import COLUMNS, Bars, Floats, segment_starts
from trainer.features import indicators, volatility

Features = npt.NDArray[np.float32]

MEANS = (7, 14, 30)
PERIOD = 14
_WILDER = PERIOD + math.ceil(math.log(1e-9) / math.log(1 - 1 / PERIOD))
"""Wilder's averages forget most slowly: what lies before weighs 13/14 as much with every row."""


@dataclass(frozen=True)
class FeatureSet:
    """Columns in order. Times and prices are those of the bar itself and of bars before it.

    ``warmup``: rows of a segment before its first valid one. ``memory``: rows after which the past weighs below 1e-9.
    ``has_price_level``: whether a column moves with the price itself. ``reads_clock``: whether one tells the time.
    ``extras``: the user's own columns, last.
    """

    name: str
    columns: tuple[str, ...]
    warmup: int
    memory: int
    has_price_level: bool
    reads_clock: bool = False
    extras: tuple[str, ...] = ()


def feature_set(text: str) -> FeatureSet:
    """The set named ``classic``, ``relative`` or ``volatility``, with ``,+COLUMN`` for each extra column.

    Raises SpecError.
    """
    name, extras = split_features(text)
    base = _BASES[name]
    return FeatureSet(
        name=canonical_features(text),
        columns=(*base.columns, *extras),
        warmup=base.warmup,
        memory=base.memory,
        has_price_level=name == "classic",
        reads_clock=name == "volatility",
        extras=extras,
    )


def compute_features(features: FeatureSet, bars: Bars) -> Features:
    """float32 ``[n, F]``, C-contiguous; the first ``warmup`` rows of each gap-free segment are NaN.

    Computed in float64. A row's values follow from that row and those before it in its segment.
    """
    out = np.empty((len(bars), len(features.columns)), np.float32)
    base, warmup = _BASES[split_features(features.name)[0]], features.warmup
    starts = segment_starts(bars)
    for start, stop in zip(starts, np.append(starts[1:], len(bars)), strict=False):
        part = out[start:stop]
        part[:warmup] = np.nan
        if len(part) <= warmup:
            continue
        segment = bars.rows(start, stop)
        extras = (segment.extra[name] for name in features.extras)
        for number, column in enumerate(itertools.chain(base.compute(segment), extras)):
            part[warmup:, number] = column[warmup:]
    return out


def feature_hash(features: FeatureSet) -> str:
    """16 hex digits over the set's name, the code that computes it and TA-Lib's version."""
    return hashlib.sha256(f"{features.name}\0{_code_digest()}".encode()).hexdigest()[:16]


@dataclass(frozen=True)
class _Base:
    """A set without extra columns. ``compute``: its columns of a gap-free stretch, float64 in order."""

    columns: tuple[str, ...]
    compute: Callable[[Bars], Iterator[Floats]]
    warmup: int = max(MEANS) - 1
    memory: int = _WILDER


def _classic(bars: Bars) -> Iterator[Floats]:
    yield from bars.values.T
    close = np.ascontiguousarray(bars.close)
    for window in MEANS:
        yield indicators.sma(close, window)
    yield indicators.rsi(close, PERIOD)


def _relative(bars: Bars) -> Iterator[Floats]:
    opened, high, low, _, volume = bars.values.T
    close = np.ascontiguousarray(bars.close)
    yield _after_first(np.log(close[1:] / close[:-1]))
    yield (high - low) / close
    yield (close - opened) / close
    for window in MEANS:
        yield close / indicators.sma(close, window) - 1
    yield indicators.rsi(close, PERIOD)
    yield indicators.macd(close) / close
    yield indicators.atr(high, low, close, PERIOD) / close
    both = volume[1:] + volume[:-1]
    both[both == 0] = 1
    yield _after_first(np.diff(volume) / both)


def _after_first(column: Floats) -> Floats:
    return np.concatenate([[np.nan], column])


_BASES = {
    "classic": _Base((*COLUMNS, *(f"sma_{window}" for window in MEANS), "rsi"), _classic),
    "relative": _Base(
        (
            "log_return",
            "range",
            "body",
            *(f"sma_{window}_distance" for window in MEANS),
            "rsi",
            "macd_share",
            "atr_share",
            "volume_change",
        ),
        _relative,
    ),
    "volatility": _Base(
        volatility.COLUMNS, volatility.volatility_columns, warmup=volatility.WARMUP, memory=volatility.MEMORY
    ),
}
"""A share is of the close; volume_change is ``(v - before)/(v + before)``, 0 where both are."""


@functools.cache
def _code_digest() -> str:
    digest = hashlib.sha256(metadata.version("TA-Lib").encode())
    for path in (Path(__file__), Path(indicators.__file__), Path(volatility.__file__)):
        digest.update(path.read_bytes())
    return digest.hexdigest()
