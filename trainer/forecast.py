"""The next forecast from a bundle and bars: ONNX Runtime and NumPy, no TensorFlow, no code of features."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from trainer.bars.frame import Bars, segment_starts
from trainer.contract import bundle
from trainer.contract import timeframe as tf
from trainer.errors import DataError, SpecError


@dataclass(frozen=True)
class Forecast:
    """What a model expects of the close ``horizon`` bars after the last one.

    ``last_open`` is the open time of the last bar read, ``target_open`` that of the bar whose close is forecast.
    ``log_return`` is from the last close to the forecast price.
    """

    symbol: str
    timeframe: str
    horizon: int
    last_open: datetime
    target_open: datetime
    last_close: float
    log_return: float
    price: float


def open_session(model: bytes | Path) -> onnxruntime.InferenceSession:
    """A model ready to run on one CPU thread. Raises SpecError where it is no ONNX model."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(
            model if isinstance(model, bytes) else str(model), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # its own exceptions have no common class
        where = "the model" if isinstance(model, bytes) else model.name
        raise SpecError(f"{where} can't be opened by ONNX Runtime: {str(error).splitlines()[0]}") from None


def rows_needed(directory: Path) -> int:
    """How many bars a bundle's ``model_from_bars.onnx`` takes. Raises SpecError where it has none."""
    return int(_from_bars_schema(_read_schema(directory))["rows"])


def forecast(directory: Path, bars: Bars) -> Forecast:
    """Forecast from the last bars, with the bundle in ``directory``.

    ``bars`` end with the last closed one; those before the rows needed are left alone. Raises SpecError for a bundle
    that can't do it, DataError for bars that don't fit: too few, a gap, another timeframe, an extra column absent.
    """
    schema = _read_schema(directory)
    rows = int(_from_bars_schema(schema)["rows"])
    _validate_fit(schema, bars, rows)
    last = bars.rows(len(bars) - rows, len(bars))
    outputs = run_from_bars(open_session(directory / bundle.MODEL_FROM_BARS), [last], schema["extra_columns"])
    step, opened = bars.step_ms, int(last.time[-1])
    return Forecast(
        symbol=bars.symbol,
        timeframe=bars.timeframe,
        horizon=schema["horizon"],
        last_open=tf.from_epoch_ms(opened),
        target_open=tf.from_epoch_ms(opened + schema["horizon"] * step),
        last_close=float(last.close[-1]),
        log_return=float(outputs[bundle.RETURN][0, 0]),
        price=float(outputs[bundle.PRICE][0, 0]),
    )


def run_from_bars(
    session: onnxruntime.InferenceSession, stretches: list[Bars], extra_columns: list[str]
) -> dict[str, npt.NDArray[np.float32]]:
    """Every output by name, ``[n, 1]``, for stretches of exactly the rows that the model takes."""
    feed = {bundle.BARS: np.stack([stretch.values for stretch in stretches])}
    if extra_columns:
        feed[bundle.EXTRA] = np.stack(
            [np.column_stack([stretch.extra[name] for name in extra_columns]) for stretch in stretches]
        )
    return dict(zip(bundle.OUTPUTS, session.run(list(bundle.OUTPUTS), feed), strict=True))


def _read_schema(directory: Path) -> dict[str, Any]:
    try:
        schema: dict[str, Any] = json.loads((directory / bundle.FEATURE_SCHEMA).read_bytes())
    except (OSError, ValueError):
        raise SpecError(f"{directory} is no bundle: {bundle.FEATURE_SCHEMA} can't be read") from None
    return schema


def _from_bars_schema(schema: dict[str, Any]) -> dict[str, Any]:
    for entry in schema["files"]:
        if entry["file"] == bundle.MODEL_FROM_BARS:
            return dict(entry)
    raise SpecError(f"this bundle has no {bundle.MODEL_FROM_BARS}; see why in its {bundle.CARD}")


def _validate_fit(schema: dict[str, Any], bars: Bars, rows: int) -> None:
    if bars.timeframe != schema["timeframe"]:
        raise DataError(f"the model reads {schema['timeframe']} bars and was given {bars.timeframe} ones")
    for name in schema["extra_columns"]:
        if name not in bars.extra:
            raise DataError(f"the model reads the column {name}, which the bars of {bars.symbol} don't have")
    whole = len(bars) - int(segment_starts(bars)[-1]) if len(bars) else 0
    if whole < rows:
        raise DataError(
            f"{bars.symbol}: the model reads {rows} bars without a gap and only the last {whole} have none; "
            "give earlier bars too, or wait"
        )
