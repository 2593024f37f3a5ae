"""The next forecast of a champion, from the latest closed bars."""

from __future__ import annotations

from datetime import datetime

from atb.contract import timeframe as tf
from atb.contract.spec import Spec
from atb.documents.champion import Champion
from atb.documents.result import Result
from atb.errors import DataNotReady
from atb.registry.pull import bundle_file, read_file
from atb.storage import Store
from trainer.bars.check import check_bars, fill_gaps, validate_times
from trainer.bars.frame import Bars
from trainer.bars.load import keep_named
from trainer.bars.source import Source, open_source
from trainer.forecast import Forecast, Forecaster, forecast, open_forecaster


def predict_next(store: Store, champion: Champion, as_of: datetime, source: Source | None = None) -> Forecast:
    """What the champion expects after the last bar that closed by ``as_of``.

    Bars come from the source and market that it was trained on, or from another ``source``. Raises DataError and
    DataNotReady for bars that don't suffice, SpecError for a bundle without the model, StoreError, NetworkError.
    """
    spec = Result.from_bytes(store.get(champion.result), champion.result).spec
    forecaster = open_forecaster(lambda name: read_file(store, bundle_file(champion.files, name, champion.run)))
    return forecast(forecaster, _read_bars(source or open_source(spec.source, store), spec, forecaster, as_of))


def _read_bars(source: Source, spec: Spec, forecaster: Forecaster, as_of: datetime) -> Bars:
    """Just the bars that the model takes, checked as those of a training."""
    cut = tf.floor(as_of, spec.timeframe)
    step, stop = tf.to_ms(spec.timeframe), tf.epoch_ms(cut)
    start = stop - forecaster.rows * step
    raw = source.fetch(spec.symbol, spec.timeframe, spec.market, start, stop)
    bars, report = check_bars(keep_named(raw, tuple(forecaster.extra_columns)), start, stop)
    validate_times(report)
    if not len(bars) or int(bars.time[-1]) + step < stop:
        there = f"; they end at {tf.from_epoch_ms(int(bars.time[-1]) + step):%Y-%m-%dT%H:%MZ}" if len(bars) else ""
        raise DataNotReady(
            f"{spec.symbol} {spec.timeframe}: the bar that closed at {cut:%Y-%m-%dT%H:%MZ} is not there yet{there}; "
            "try later, or choose an earlier --as-of"
        )
    return fill_gaps(bars)[0] if spec.on_gap == "fill" else bars
