"""Feature sets: which columns a net sees, how they are computed, and what identifies them."""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from trainer.bars.frame import CLOSE, COLUMNS, HIGH, LOW, OPEN, VOLUME, Bars, Floats, segment_starts
from trainer.contract.features import split_features
from trainer.features import indicators

Features = npt.NDArray[np.float32]

MEANS = (7, 14, 30)
PERIOD = 14
_WARMUP = max(MEANS) - 1
_MEMORY = PERIOD + math.ceil(math.log(1e-9) / math.log(1 - 1 / PERIOD))
"""Wilder's average forgets most slowly of all: 13/14 a row."""


@dataclass(frozen=True)
class FeatureSet:
    """``warmup``: rows of a segment before its first valid one. ``memory``: rows after which the past weighs < 1e-9."""

    name: str
    columns: tuple[str, ...]
    warmup: int
    memory: int
    has_price_level: bool
    extras: tuple[str, ...] = ()


def feature_set(text: str) -> FeatureSet:
    """The set named ``classic`` or ``relative``, with ``,+COLUMN`` for each extra column. Raises SpecError."""
    base, extras = split_features(text)
    columns = (*_BASES[base][0], *extras)
    return FeatureSet(
        ",".join([base, *(f"+{name}" for name in extras)]), columns, _WARMUP, _MEMORY, base == "classic", extras
    )


def compute_features(features: FeatureSet, bars: Bars) -> Features:
    """float32 ``[n, F]``, C-contiguous; the first ``warmup`` rows of each gap-free segment are NaN."""
    out = np.full((len(bars), len(features.columns)), np.nan, np.float32)
    compute = _BASES[features.name.split(",")[0]][1]
    starts = segment_starts(bars)
    for start, stop in zip(starts, [*starts[1:], len(bars)], strict=True):
        if stop - start <= features.warmup:
            continue
        segment = bars.values[start:stop]
        columns = [*compute(segment), *(bars.extra[name][start:stop] for name in features.extras)]
        for number, column in enumerate(columns):
            out[start + features.warmup : stop, number] = column[features.warmup :]
    return out


def feature_hash(features: FeatureSet) -> str:
    """16 hex digits over the set's name and the code that computes it."""
    return hashlib.sha256(f"{features.name}\0{_code()}".encode()).hexdigest()[:16]


def _classic(values: Floats) -> list[Floats]:
    close = np.ascontiguousarray(values[:, CLOSE])
    return [
        *values.T,
        *(indicators.sma(close, window) for window in MEANS),
        indicators.rsi(close, PERIOD),
    ]


def _relative(values: Floats) -> list[Floats]:
    opened, high, low, close, volume = (np.ascontiguousarray(values[:, i]) for i in (OPEN, HIGH, LOW, CLOSE, VOLUME))
    turnover = volume[1:] + volume[:-1]
    return [
        np.concatenate([[np.nan], np.log(close[1:] / close[:-1])]),
        (high - low) / close,
        (close - opened) / close,
        *(close / indicators.sma(close, window) - 1 for window in MEANS),
        indicators.rsi(close, PERIOD),
        indicators.macd(close) / close,
        indicators.atr(high, low, close, PERIOD) / close,
        np.concatenate([[np.nan], (volume[1:] - volume[:-1]) / np.where(turnover > 0, turnover, 1)]),
    ]


_BASES: dict[str, tuple[tuple[str, ...], Callable[[Floats], list[Floats]]]] = {
    "classic": ((*COLUMNS, *(f"sma_{window}" for window in MEANS), "rsi"), _classic),
    "relative": (
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


@functools.cache
def _code() -> str:
    digest = hashlib.sha256()
    for path in (Path(__file__), Path(indicators.__file__)):
        digest.update(path.read_bytes())
    return digest.hexdigest()
