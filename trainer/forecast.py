"""The next forecast from a bundle and bars: ONNX Runtime and NumPy, no TensorFlow, no code of features."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from atb.contract import bundle
from atb.contract import timeframe as tf
from atb.errors import AtbError, DataError, SpecError
from atb.schema import printable
from trainer.bars.frame import Bars, segment_starts

_AT_ONCE = 64
"""Windows in one call of a session."""

_VALUES = (bundle.RETURN, bundle.PRICE, bundle.VOLATILITY)

Read = Callable[[str], bytes]
"""A bundle's file by its name."""


@dataclass(frozen=True)
class Band:
    """Prices between which the close lies with probability ``level``."""

    level: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Forecast:
    """What a model expects of the ``horizon`` bars after the last one.

    ``last_open`` is the open time of the last bar read, ``target_open`` that of the bar whose close is forecast.
    A model of the return has a ``price`` and the ``log_return`` to it from the last close; one of volatility has the
    ``volatility`` per bar, as a log-return. ``bands`` are of the close, the narrowest first; models of earlier versions
    have none.
    """

    symbol: str
    timeframe: str
    horizon: int
    last_open: datetime
    target_open: datetime
    last_close: float
    log_return: float | None = None
    price: float | None = None
    volatility: float | None = None
    bands: tuple[Band, ...] = ()

    @property
    def volatility_by_year(self) -> float | None:
        """The volatility by the year: per bar, times the root of the number of bars in 365 days."""
        if self.volatility is None:
            return None
        return self.volatility * math.sqrt(365 * 86_400_000 / tf.to_ms(self.timeframe))


def open_session(model: bytes, name: str = bundle.MODEL) -> onnxruntime.InferenceSession:
    """A model ready to run on one CPU thread. Raises SpecError with its ``name`` if it is not an ONNX model."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"], enable_fallback=0)
    except Exception as error:  # its own exceptions have no common class
        raise SpecError(f"{name} can't be opened by ONNX Runtime: {str(error).splitlines()[0]}") from None


@dataclass(frozen=True)
class Forecaster:
    """A bundle's ``model_from_bars.onnx``, ready, and what it asks for: how many rows of what bars."""

    session: onnxruntime.InferenceSession
    timeframe: str
    horizon: int
    rows: int
    extra_columns: list[str]
    target: str = "return"
    levels: tuple[float, ...] = ()


def read_directory(directory: Path) -> Read:
    """How the files of a bundle in a directory are read."""

    def read(name: str) -> bytes:
        try:
            return (directory / name).read_bytes()
        except OSError:
            raise SpecError(f"{directory} is not a bundle: {name} can't be read") from None

    return read


def open_forecaster(read: Read) -> Forecaster:
    """Open a bundle, whose files ``read`` gives by name. Raises SpecError where it holds no model that takes bars."""
    try:
        schema = json.loads(read(bundle.FEATURE_SCHEMA))
        files = {entry["file"]: entry for entry in schema["files"]}
        timeframe, horizon, extras = schema["timeframe"], int(schema["horizon"]), list(schema["extra_columns"])
        rows = int(files[bundle.MODEL_FROM_BARS]["rows"]) if bundle.MODEL_FROM_BARS in files else 0
        levels = tuple(map(float, schema.get("bands", {}).get("levels", ())))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise SpecError(f"{bundle.FEATURE_SCHEMA} is of another version; train the model again") from None
    if not rows:
        raise SpecError(f"this bundle has no {bundle.MODEL_FROM_BARS}; see why in its {bundle.CARD}")
    return Forecaster(
        session=open_session(read(bundle.MODEL_FROM_BARS), bundle.MODEL_FROM_BARS),
        timeframe=timeframe,
        horizon=horizon,
        rows=rows,
        extra_columns=extras,
        target=schema.get("forecasts", "return"),
        levels=levels,
    )


def forecast(forecaster: Forecaster, bars: Bars) -> Forecast:
    """Forecast from the last bars, which end with the last closed one; those before the rows needed are left alone.

    Raises DataError for bars that don't fit: too few, a gap, another timeframe, an extra column absent; SpecError for a
    model that can't be run, or answers with what is no forecast.
    """
    _validate_fit(forecaster, bars)
    last = bars.rows(len(bars) - forecaster.rows, len(bars))
    found, bands = _ask(forecaster, last)
    opened = int(last.time[-1])
    return Forecast(
        symbol=bars.symbol,
        timeframe=bars.timeframe,
        horizon=forecaster.horizon,
        last_open=tf.from_epoch_ms(opened),
        target_open=tf.from_epoch_ms(opened + forecaster.horizon * bars.step_ms),
        last_close=float(last.close[-1]),
        log_return=found.get(bundle.RETURN),
        price=found.get(bundle.PRICE),
        volatility=found.get(bundle.VOLATILITY),
        bands=bands,
    )


def _ask(forecaster: Forecaster, last: Bars) -> tuple[dict[str, float], tuple[Band, ...]]:
    """The values by name, and the bands. Raises SpecError."""
    try:
        outputs = run_from_bars(forecaster.session, [last], forecaster.extra_columns)
        found = {name: float(outputs[name][0, 0]) for name in _VALUES if name in outputs}
        edges = [outputs[name][0] for name in (bundle.LOWER, bundle.UPPER)] if forecaster.levels else [(), ()]
        bands = tuple(Band(*map(float, each)) for each in zip(forecaster.levels, *edges, strict=True))
    except AtbError:
        raise
    except Exception as error:  # ONNX Runtime's and NumPy's own have no common class
        raise SpecError(f"the model can't be run: {type(error).__name__}: {printable(str(error))}") from None
    numbers = [*found.values(), *(edge for band in bands for edge in (band.lower, band.upper))]
    above_zero = (value for name, value in found.items() if name != bundle.RETURN)
    if not found or not all(map(math.isfinite, numbers)) or any(value <= 0 for value in above_zero):
        raise SpecError("the model answers with what is no forecast: train it again, or demote it")
    return found, bands


def run_from_bars(
    session: onnxruntime.InferenceSession, stretches: list[Bars], extra_columns: list[str]
) -> dict[str, npt.NDArray[Any]]:
    """Every output by name, ``[n, k]``, for stretches of exactly the rows that the model takes."""
    feed: dict[str, npt.NDArray[Any]] = {bundle.BARS: np.stack([stretch.values for stretch in stretches])}
    if bundle.TIME in {value.name for value in session.get_inputs()}:
        feed[bundle.TIME] = np.stack([stretch.time for stretch in stretches])
    if extra_columns:
        feed[bundle.EXTRA] = np.stack(
            [np.column_stack([stretch.extra[name] for name in extra_columns]) for stretch in stretches]
        )
    return run_session(session, feed)


def run_session(
    session: onnxruntime.InferenceSession, feed: dict[str, npt.NDArray[Any]], at_once: int = _AT_ONCE
) -> dict[str, npt.NDArray[Any]]:
    """Every output by name, ``[n, k]``, computed in parts: a session keeps scratch memory for the largest it has seen,
    as long as one of its own arrays lives."""
    count = len(next(iter(feed.values())))
    names = [output.name for output in session.get_outputs()]
    parts = [
        session.run(names, {name: values[at : at + at_once] for name, values in feed.items()})
        for at in range(0, max(count, 1), at_once)
    ]
    return {name: np.concatenate(outputs) for name, outputs in zip(names, zip(*parts, strict=True), strict=True)}


def _validate_fit(forecaster: Forecaster, bars: Bars) -> None:
    if bars.timeframe != forecaster.timeframe:
        raise DataError(f"the model reads {forecaster.timeframe} bars, but was given {bars.timeframe} bars")
    for name in forecaster.extra_columns:
        if name not in bars.extra:
            raise DataError(f"the model reads the column {name}, which the bars of {bars.symbol} don't have")
    whole = len(bars) - int(segment_starts(bars)[-1]) if len(bars) else 0
    if whole < forecaster.rows:
        raise DataError(
            f"{bars.symbol}: the model reads {forecaster.rows} bars without a gap, but only the last {whole} "
            "have none; give earlier bars too, or wait"
        )
