"""Whether a plug-in's features keep the rules that ours are tested for: nothing of the future, and its own memory."""

from __future__ import annotations

import numpy as np

from atb.contract import timeframe as tf
from atb.contract.bundle import LEVEL_COLUMN
from atb.contract.spec import Spec
from atb.errors import SpecError
from trainer.bars.frame import Bars, segment_starts
from trainer.features.own import RETURN_COLUMN
from trainer.features.sets import Features, FeatureSet, compute_features

_FORGOTTEN = 1e-6
"""How much the past beyond the memory may weigh, as a share of a column's largest value."""


def validate_own_features(spec: Spec, features: FeatureSet, bars: Bars, flat: Features) -> None:
    """Compute the longest gap-free stretch again with its end cut off, then with its beginning cut off.

    ``flat``: the features of ``bars``, float32 ``[n, F]``. Raises SpecError where a row changes with later bars, where
    bars older than the memory still matter, where ``close`` or ``log_return`` is something else, or where the spec
    wants an ONNX form and the set has none.
    """
    if spec.onnx and not callable(getattr(features.base.own, "write", None)):
        raise SpecError(
            f"feature set {features.base.name} has no function write(stretch), so that its models can't be exported; "
            "add one, or train with --skip-onnx"
        )
    starts = segment_starts(bars)
    stops = np.append(starts[1:], len(bars))
    longest = int(np.argmax(stops - starts))
    start, stop = int(starts[longest]), int(stops[longest])
    whole, half = flat[start:stop], (stop - start) // 2
    for cut in (half, stop - start - 1):
        past = compute_features(features, bars.rows(start, start + cut))
        same = (past == whole[:cut]) | (np.isnan(past) & np.isnan(whole[:cut]))
        _validate(features, bars, start, same, "changes with bars that come after it: it would know the future")
    late = compute_features(features, bars.rows(start + half, stop))[features.memory :]
    known = whole[half + features.memory :]
    if len(known):
        close = np.abs(late - known) <= _FORGOTTEN * np.abs(known).max(axis=0)
        words = f"changes with bars before the {features.memory} that its memory states"
        _validate(features, bars, start + half + features.memory, close, words)
    column = LEVEL_COLUMN if features.has_price_level else RETURN_COLUMN
    prices = bars.close[start:stop]
    wanted = prices if features.has_price_level else np.diff(np.log(prices), prepend=np.log(prices[:1]))
    first = max(features.warmup, 1)
    found = whole[first:, features.columns.index(column)]
    if not np.allclose(found, wanted[first:], rtol=1e-5, atol=1e-9):
        meaning = "the bar's close" if features.has_price_level else "log(close / previous close)"
        raise SpecError(f"feature set {features.name}: its column {column} must be {meaning}")


def _validate(features: FeatureSet, bars: Bars, first: int, good: np.ndarray, words: str) -> None:
    if good.all():
        return
    row, column = (int(number) for number in np.argwhere(~good)[0])
    at = tf.from_epoch_ms(int(bars.time[first + row]))
    raise SpecError(f"feature set {features.name}: {features.columns[column]} at {at:%Y-%m-%dT%H:%MZ} {words}")
