"""The next forecasts of champions, from the latest closed bars."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from atb.contract import keys
from atb.contract import timeframe as tf
from atb.contract.spec import Spec
from atb.documents.champion import Champion, Direction, PriceBand, Signal
from atb.documents.result import Result
from atb.errors import AtbError, DataError, DataNotReady, PreconditionFailed, SpecError
from atb.registry.champions import ModelKey
from atb.registry.pull import bundle_file, read_file
from atb.storage import Store
from trainer.bars.check import check_bars, fill_gaps, validate_series
from trainer.bars.frame import Bars
from trainer.bars.load import keep_named
from trainer.bars.parallel import work_all
from trainer.bars.source import Source, open_source
from trainer.evaluate.backtest import trading_rules
from trainer.forecast import Forecast, Forecaster, forecast, open_forecaster

log = logging.getLogger(__name__)

_AT_ONCE = 8
"""Models that fetch their bars at the same time."""
_BUG = 70


@dataclass(frozen=True)
class ServedModel:
    """A champion ready to forecast, and the spec that it was trained with."""

    champion: Champion
    spec: Spec
    forecaster: Forecaster


@dataclass(frozen=True)
class NoForecast:
    """Why a champion has no forecast: one line, and the exit code of such a failure."""

    model: str
    problem: str
    exit_code: int


Row = Signal | NoForecast


def open_served(store: Store, champion: Champion) -> ServedModel:
    """The champion, its files verified. Raises SpecError for a bundle without the model, StoreError."""
    spec = Result.from_bytes(store.get(champion.result), champion.result).spec
    forecaster = open_forecaster(lambda name: read_file(store, bundle_file(champion.files, name, champion.run)))
    return ServedModel(champion, spec, forecaster)


def predict_next(served: ServedModel, as_of: datetime, source: Source) -> Forecast:
    """What the champion expects after the last bar that closed by ``as_of``.

    Raises DataError and DataNotReady for bars that don't suffice, SpecError for a model that gives no number,
    NetworkError.
    """
    found = forecast(served.forecaster, _read_bars(source, served.spec, served.forecaster, as_of))
    edges = [edge for band in found.bands for edge in (band.lower, band.upper)]
    for number in (found.price, found.volatility, *edges):
        if number is not None and not math.isfinite(number):
            raise SpecError(f"the model of run {served.champion.run} gave {number}; train {found.symbol} again")
    return found


def make_signal(served: ServedModel, found: Forecast, made: datetime, *, synthetic: bool) -> Signal:
    """The document of a forecast. ``synthetic``: made from made-up bars, whatever the model was trained on."""
    champion, rules = served.champion, trading_rules(served.spec)
    closed = found.last_open + timedelta(milliseconds=tf.to_ms(found.timeframe))
    return Signal(
        **vars(ModelKey.of(champion)),
        run=champion.run,
        job=champion.job,
        made=made,
        last_open=found.last_open,
        target_open=found.target_open,
        last_close=found.last_close,
        price=found.price,
        log_return=found.log_return,
        direction=None if found.price is None else _direction(found.price / found.last_close - 1, rules.threshold),
        threshold_bps=None if found.price is None else rules.terms.threshold_bps,
        volatility=found.volatility,
        volatility_by_year=found.volatility_by_year,
        bands=tuple(PriceBand(level=band.level, lower=band.lower, upper=band.upper) for band in found.bands),
        skill=champion.metrics.get("skill", 0.0),
        as_of=champion.as_of,
        age_days=(closed - champion.as_of) / timedelta(days=1),
        unseen_from=champion.unseen_from,
        unseen=found.last_open >= champion.unseen_from,
        synthetic=champion.synthetic or synthetic,
    )


class Forecasts:
    """Forecasts of many champions in one process. A model stays open until another becomes champion.

    Bars come from the source and market that each model was trained on, or all from ``source``. ``keep``: write each
    signal to the store.
    """

    def __init__(self, store: Store, source: str | None = None, *, keep: bool = False) -> None:
        self._store, self._source, self._keep = store, source, keep
        self._open: dict[ModelKey, ServedModel] = {}

    def make(self, champions: Sequence[Champion], as_of: datetime, made: datetime) -> list[Row]:
        """A row for each champion, in their order: its forecast after the last bar that closed by ``as_of``, or why
        there is none. A failure of one does not affect the others."""
        found = dict(work_all(lambda place: self._row(champions[place], as_of, made), range(len(champions)), _AT_ONCE))
        return [found[place] for place in range(len(champions))]

    def _row(self, champion: Champion, as_of: datetime, made: datetime) -> Row:
        name = str(ModelKey.of(champion))
        try:
            signal = self._signal(champion, as_of, made)
            if self._keep:
                keep_signal(self._store, signal)
            return signal
        except AtbError as error:
            return NoForecast(name, str(error), error.exit_code)
        except Exception as error:  # a bug that one model meets must not cost the others their forecasts
            log.exception("%s", name)
            return NoForecast(name, f"a bug in atb: {type(error).__name__}: {error}; please report it", _BUG)

    def _signal(self, champion: Champion, as_of: datetime, made: datetime) -> Signal:
        key = ModelKey.of(champion)
        served = self._open.get(key)
        if served is None or served.champion.entry != champion.entry:
            served = self._open[key] = open_served(self._store, champion)
        source = open_source(self._source or served.spec.source, self._store)
        return make_signal(served, predict_next(served, as_of, source), made, synthetic=source.synthetic)


def keep_signal(store: Store, signal: Signal) -> None:
    """Write the signal to its key in the store, unless one of the same bar is there already: what was published stays
    as it was. Raises StoreError."""
    closed = signal.last_open + timedelta(milliseconds=tf.to_ms(signal.timeframe))
    try:
        store.put_if_absent(keys.signal(ModelKey.of(signal).prefix, closed), signal.to_bytes())
    except PreconditionFailed:
        pass


def shared_exit_code(rows: Iterable[Row]) -> int:
    """0 if every model has its forecast; else the code that all failures share, or 1."""
    codes = {row.exit_code for row in rows if isinstance(row, NoForecast)}
    return 0 if not codes else codes.pop() if len(codes) == 1 else 1


def _direction(simple_return: float, threshold: float) -> Direction:
    """As the backtest decides."""
    return "up" if simple_return > threshold else "down" if simple_return < -threshold else "none"


def _read_bars(source: Source, spec: Spec, forecaster: Forecaster, as_of: datetime) -> Bars:
    """Just the bars that the model takes, checked as those of a training."""
    cut = tf.floor(as_of, spec.timeframe)
    step, stop = tf.to_ms(spec.timeframe), tf.epoch_ms(cut)
    start = stop - forecaster.rows * step
    raw = source.fetch(spec.symbol, spec.timeframe, spec.market, start, stop)
    bars, report = check_bars(keep_named(raw, tuple(forecaster.extra_columns)), start, stop)
    if report.break_ms is not None:
        at, until = (tf.from_epoch_ms(report.break_ms + rows * step) for rows in (0, forecaster.rows))
        raise DataError(
            f"{spec.symbol} {spec.timeframe}: the price is at another level since {at:%Y-%m-%dT%H:%MZ}, as after a "
            f"redenomination, and the model reads {forecaster.rows} bars of one level; it can forecast again from "
            f"{until:%Y-%m-%dT%H:%MZ} on"
        )
    validate_series(report)
    if not len(bars) or int(bars.time[-1]) + step < stop:
        there = f"; they end at {tf.from_epoch_ms(int(bars.time[-1]) + step):%Y-%m-%dT%H:%MZ}" if len(bars) else ""
        raise DataNotReady(
            f"{spec.symbol} {spec.timeframe}: the bar that closed at {cut:%Y-%m-%dT%H:%MZ} is not there yet{there}; "
            "try later, or choose an earlier --as-of"
        )
    return fill_gaps(bars)[0] if spec.on_gap == "fill" else bars
