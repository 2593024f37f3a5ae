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

from atb.contract.bundle import LEVEL_COLUMN
from atb.contract.features import canonical_features, check_features, split_features
from atb.errors import SpecError
from atb.plugins import FEATURES, require_plugin
from trainer.bars.frame import COLUMNS, Bars, Floats, segment_starts
from trainer.features import indicators, volatility
from trainer.features.own import OwnFeatures, compute_own, load_own_features

Features = npt.NDArray[np.float32]

MEANS = (7, 14, 30)
PERIOD = 14
_WILDER = PERIOD + math.ceil(math.log(1e-9) / math.log(1 - 1 / PERIOD))
"""Wilder's averages forget most slowly: what lies before weighs 13/14 as much with every row."""


@dataclass(frozen=True)
class BaseSet:
    """A set without extra columns. Times and prices are those of the bar itself and of bars before it.

    ``compute``: its columns of a gap-free stretch, float64 in order. ``warmup``: rows of a segment before its first
    valid one. ``memory``: rows after which the past weighs below 1e-9. ``reads_clock``: whether a column tells the
    time. ``own``: the plug-in that it comes from.
    """

    name: str
    columns: tuple[str, ...]
    compute: Callable[[Bars], Iterator[Floats]]
    warmup: int = max(MEANS) - 1
    memory: int = _WILDER
    reads_clock: bool = False
    own: OwnFeatures | None = None


@dataclass(frozen=True)
class FeatureSet:
    """A base set and the user's own columns after it."""

    name: str
    base: BaseSet
    extras: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns in order."""
        return (*self.base.columns, *self.extras)

    @property
    def warmup(self) -> int:
        """Rows of a segment before its first valid one."""
        return self.base.warmup

    @property
    def memory(self) -> int:
        """Rows after which the past weighs next to nothing."""
        return self.base.memory

    @property
    def reads_clock(self) -> bool:
        """Whether a column tells the time."""
        return self.base.reads_clock

    @property
    def has_price_level(self) -> bool:
        """Whether a column is the price itself."""
        return LEVEL_COLUMN in self.base.columns


def feature_set(text: str) -> FeatureSet:
    """The set of that name, ours or a plug-in's, with ``,+COLUMN`` for each extra column.

    Raises SpecError.
    """
    check_features(text)
    name, extras = split_features(text)
    base = _BASES.get(name) or _own_base(name)
    if twice := set(base.columns) & set(extras):
        raise SpecError(f"features {text!r}: {name} has a column {min(twice)} already")
    return FeatureSet(canonical_features(text), base, extras)


def compute_features(features: FeatureSet, bars: Bars) -> Features:
    """float32 ``[n, F]``, C-contiguous; the first ``warmup`` rows of each gap-free segment are NaN.

    Computed in float64. A row's values follow from that row and those before it in its segment.
    """
    out = np.empty((len(bars), len(features.columns)), np.float32)
    base, warmup = features.base, features.warmup
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
    code = _code_digest()
    if features.base.own is not None:
        code += require_plugin(FEATURES, features.base.name).identity()
    return hashlib.sha256(f"{features.name}\0{code}".encode()).hexdigest()[:16]


def _own_base(name: str) -> BaseSet:
    own = load_own_features(name)
    return BaseSet(
        name,
        tuple(own.columns),
        functools.partial(compute_own, name, own),
        own.warmup,
        own.memory,
        bool(getattr(own, "reads_clock", False)),
        own,
    )


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


_OURS = (
    BaseSet("classic", (*COLUMNS, *(f"sma_{window}" for window in MEANS), "rsi"), _classic),
    BaseSet(
        "relative",
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
    BaseSet(
        "volatility",
        volatility.COLUMNS,
        volatility.volatility_columns,
        volatility.WARMUP,
        volatility.MEMORY,
        reads_clock=True,
    ),
)
"""A share is of the close; volume_change is ``(v - before)/(v + before)``, 0 where both are."""
_BASES = {base.name: base for base in _OURS}


@functools.cache
def _code_digest() -> str:
    digest = hashlib.sha256(metadata.version("TA-Lib").encode())
    for path in (Path(__file__), Path(indicators.__file__), Path(volatility.__file__)):
        digest.update(path.read_bytes())
    return digest.hexdigest()
