"""From a spec to bars that can be trusted."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace

import numpy as np

from atb.contract import timeframe as tf
from atb.contract.features import split_features
from atb.contract.spec import Spec, data_check
from atb.documents.result import BarsSummary
from atb.errors import DataError, DataNotReady
from atb.storage import Store
from trainer.bars.cache.months import SETTLED_MS
from trainer.bars.check import (
    BarsReport,
    check_bars,
    fill_gaps,
    validate_bars,
    validate_series,
    validate_values,
)
from trainer.bars.frame import Bars, segment_starts
from trainer.bars.source import Source, open_source

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadedBars:
    """Checked bars with the warm-up before the window; ``first_row``: the first bar at or after ``spec.start``.

    ``bars.origins`` says what was read, for ``ResultPointer.sources``.
    """

    bars: Bars
    summary: BarsSummary
    first_row: int


def load_bars(spec: Spec, store: Store, warmup: int, min_rows: int, source: Source | None = None) -> LoadedBars:
    """The bars of a spec's window and up to ``warmup`` bars before it, checked.

    ``min_rows``: fewer bars in the window are of no use. Raises DataError, DataNotReady, NetworkError, StoreError.
    """
    source = source or open_source(spec.source, store)
    start, as_of = tf.epoch_ms(spec.start), tf.epoch_ms(spec.as_of)
    reach = start - warmup * tf.to_ms(spec.timeframe)
    now = int(time.time() * 1000)
    if as_of > now and not source.synthetic:
        raise DataNotReady(f"{spec.symbol}: --as-of {spec.as_of:%Y-%m-%dT%H:%MZ} has not come yet")
    raw = source.fetch(spec.symbol, spec.timeframe, spec.market, reach, as_of)
    raw = keep_named(raw, split_features(spec.features)[1])
    raw, bars, whole = _check_last_level(raw, reach, as_of, start)
    _, report = check_bars(raw, start, as_of)
    validate_series(report)
    validate_series(whole)  # the first features are computed from bars before the window
    validate_values(report)
    validate_last(report, source)
    if spec.on_gap == "fail" and report.missing:
        raise DataError(
            f"{spec.symbol} {spec.timeframe}: {report.missing} bars are missing and --on-gap is fail; "
            f"use --on-gap segment, or look with: {data_check(spec)}"
        )
    validate_bars(report, min_rows, data_check(spec))
    if spec.on_gap == "fill":
        bars, _ = fill_gaps(bars)
    first_row = int(np.searchsorted(bars.time, start))
    filled = len(bars) - first_row - report.kept
    log.info("%s%s", report.summary(), f"; {filled} filled" if filled else "")
    summary = BarsSummary(
        digest=bars.digest,
        rows=len(bars) - first_row,
        first=tf.from_epoch_ms(int(bars.time[first_row])),
        last=tf.from_epoch_ms(int(bars.time[-1])),
        segments=len(segment_starts(bars)),
        synthetic=bars.synthetic,
        report={**report.to_dict(), "filled": filled},
        sources=bars.origins,
    )
    return LoadedBars(bars, summary, first_row)


def _check_last_level(raw: Bars, start_ms: int, as_of_ms: int, until_ms: int) -> tuple[Bars, Bars, BarsReport]:
    """The rows without those before the latest break in price that lies at or before ``until_ms``, and what
    ``check_bars`` finds in them."""
    rows = len(raw)
    bars, report = check_bars(raw, start_ms, as_of_ms)
    while report.break_ms is not None and report.break_ms <= until_ms:
        raw = raw.take(raw.time >= report.break_ms)
        bars, report = check_bars(raw, start_ms, as_of_ms)
    if len(raw) < rows:
        at = f"{tf.from_epoch_ms(int(raw.time.min())):%Y-%m-%dT%H:%MZ}"
        log.warning("%s: bars before %s are at another price level and are not used", raw.symbol, at)
    return raw, bars, report


def keep_named(raw: Bars, names: tuple[str, ...]) -> Bars:
    """The bars with only the extra columns named. Raises DataError where one is absent or not finite."""
    for name in names:
        if name not in raw.extra:
            there = ", ".join(sorted(raw.extra)) or "none"
            raise DataError(f"{raw.symbol}: --features names +{name}, and the bars have no such column; there: {there}")
        empty = int(np.count_nonzero(~np.isfinite(raw.extra[name])))
        if empty:
            raise DataError(f"{raw.symbol}: column {name} is empty or infinite in {empty} rows; fill it in the file")
    return replace(raw, extra={name: raw.extra[name] for name in names})


def validate_last(report: BarsReport, source: Source) -> None:
    """Raise DataNotReady where bars before the cut are still to come: a training without them today and one with them
    tomorrow would not be the same."""
    if source.live and int(time.time() * 1000) - report.as_of_ms >= SETTLED_MS:
        return
    end = (report.last_ms or 0) + tf.to_ms(report.timeframe)
    if end < report.as_of_ms:
        raise DataNotReady(
            f"{report.symbol} {report.timeframe}: bars are there until {tf.from_epoch_ms(end):%Y-%m-%dT%H:%MZ}, "
            f"not yet until {tf.from_epoch_ms(report.as_of_ms):%Y-%m-%dT%H:%MZ}; try again later, or choose an earlier "
            "--as-of"
        )
