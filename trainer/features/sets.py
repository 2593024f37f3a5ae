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
from trainer.features import indicators

Features = npt.NDArray[np.float32]

MEANS = (7, 14, 30)
PERIOD = 14
_WARMUP = max(MEANS) - 1
_MEMORY = PERIOD + math.ceil(math.log(1e-9) / math.log(1 - 1 / PERIOD))
"""Wilder's averages forget most slowly: what lies before weighs 13/14 as much with every row."""


@dataclass(frozen=True)
class FeatureSet:
    """Columns in order. Times and prices are those of the bar itself and of bars before it.

    ``warmup``: rows of a segment before its first valid one. ``memory``: rows after which the past weighs below 1e-9.
    ``has_price_level``: whether a column moves with the price itself. ``extras``: the user's own columns, last.
    """

    name: str
    columns: tuple[str, ...]
    warmup: int
    memory: int
    has_price_level: bool
    extras: tuple[str, ...] = ()


def feature_set(text: str) -> FeatureSet:
    """The set named ``classic`` or ``relative``, with ``,+COLUMN`` for each extra column. Raises SpecError."""
    base, extras = split_features(text)
    return FeatureSet(
        name=canonical_features(text),
        columns=(*_BASES[base].columns, *extras),
        warmup=_WARMUP,
        memory=_MEMORY,
        has_price_level=base == "classic",
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
        extras = (bars.extra[name][start:stop] for name in features.extras)
        for number, column in enumerate(itertools.chain(base.compute(bars.values[start:stop]), extras)):
            part[warmup:, number] = column[warmup:]
    return out


def feature_hash(features: FeatureSet) -> str:
    """16 hex digits over the set's name, the code that computes it and TA-Lib's version."""
    return hashlib.sha256(f"{features.name}\0{_code_digest()}".encode()).hexdigest()[:16]


@dataclass(frozen=True)
class _Base:
    columns: tuple[str, ...]
    compute: Callable[[Floats], Iterator[Floats]]


def _classic(values: Floats) -> Iterator[Floats]:
    yield from values.T
    close = np.ascontiguousarray(values[:, COLUMNS.index("close")])
    for window in MEANS:
        yield indicators.sma(close, window)
    yield indicators.rsi(close, PERIOD)


def _relative(values: Floats) -> Iterator[Floats]:
    opened, high, low, _, volume = values.T
    close = np.ascontiguousarray(values[:, COLUMNS.index("close")])
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
}
"""A share is of the close; volume_change is ``(v - before)/(v + before)``, 0 where both are."""


@functools.cache
def _code_digest() -> str:
    digest = hashlib.sha256(metadata.version("TA-Lib").encode())
    for path in (Path(__file__), Path(indicators.__file__)):
        digest.update(path.read_bytes())
    return digest.hexdigest()
