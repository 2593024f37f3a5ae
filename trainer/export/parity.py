"""Whether an exported model is the trained one: both are run on the same real windows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from atb.contract.bundle import FEATURES, LAST_CLOSE, LOWER, PRICE, RETURN, SCALED, UPPER, VOLATILITY
from atb.documents.export import Parity
from atb.errors import ExportError
from trainer.bars.frame import Bars, Floats, Times, segment_starts
from trainer.export.expected import expected_outputs
from trainer.export.models import Trained
from trainer.features.sets import Features, compute_features
from trainer.forecast import run_from_bars, run_session

BOUND = 1e-5
"""On the scaled output, whose unit is the deviation of the target on train rows."""
WANTED = 256
"""Windows to compare; all where there are fewer."""
_RETURN_BOUND, _PRICE_BOUND = 1e-6, 1e-6
"""Relative to the target's scale, and to the price: the outputs are float32."""
_WIDTH_BOUND = 1e-5
"""The bound for a volatility and for the bands' log width, as a share of it."""

Predict = Callable[[Features], npt.NDArray[np.float32]]
"""The trained net: scaled windows ``[n, L, F]`` → scaled returns ``[n]``."""
Outputs = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Reference:
    """The trained net's outputs for the windows that end at ``ends``, raw features; ``last_close`` is float64."""

    ends: Times
    windows: Features
    last_close: npt.NDArray[np.float64]
    scaled: npt.NDArray[np.float32]


def choose_ends(ends: Times) -> Times:
    """Up to WANTED window ends, spread evenly."""
    if len(ends) <= WANTED:
        return ends
    return ends[np.linspace(0, len(ends) - 1, WANTED).astype(np.int64)]


def ask_reference(trained: Trained, predict: Predict, windows: Features, bars: Bars, ends: Times) -> Reference:
    """The trained net's answers for raw windows ``[n, L, F]`` that end at the rows ``ends`` of the bars."""
    scaled = np.asarray(predict(trained.scaler.transform(windows)), np.float32).reshape(-1)
    return Reference(ends, windows, bars.close[ends], scaled)


def run_features(session: onnxruntime.InferenceSession, windows: Features, last_close: Floats) -> Outputs:
    """The outputs of ``model.onnx`` for raw windows ``[n, L, F]``, many at a time."""
    return run_session(session, _feed(session, windows, last_close))


def run_one_by_one(session: onnxruntime.InferenceSession, windows: Features, last_close: Floats) -> Outputs:
    """The same, one at a time, as models serve."""
    return run_session(session, _feed(session, windows, last_close), at_once=1)


def _feed(session: onnxruntime.InferenceSession, windows: Features, last_close: Floats) -> dict[str, npt.NDArray[Any]]:
    feed = {FEATURES: windows, LAST_CLOSE: last_close.astype(np.float32)}
    wanted = {value.name for value in session.get_inputs()}
    return {name: value for name, value in feed.items() if name in wanted}


def validate_parity(file: str, trained: Trained, outputs: Outputs, reference: Reference) -> Parity:
    """Compare one model's answers with the trained net's. Raises ExportError beyond the bounds."""
    for name, output in outputs.items():
        if not np.isfinite(output).all():
            raise ExportError(f"{file} gives a {name} that is not a number for a real window")
    scaled = outputs[SCALED].reshape(-1).astype(np.float64)
    # The others are held against what follows from its own scaled output, so that each bound tells of one thing.
    expected = expected_outputs(trained, scaled, reference.windows, reference.last_close)
    got = {name: outputs[name].astype(np.float64).reshape(expected[name].shape) for name in expected}
    differences = {"scaled output": _largest(scaled - reference.scaled)}
    bounds = {"scaled output": BOUND, "price": _PRICE_BOUND, "volatility": _WIDTH_BOUND, "bands": _WIDTH_BOUND}
    if RETURN in expected:
        differences["return"] = _largest(got[RETURN] - expected[RETURN])
        unit = trained.target.scale + abs(trained.target.mean)
        bounds["return"] = _RETURN_BOUND * unit * max(1.0, _largest(scaled))
        differences["price"] = _largest(got[PRICE] / expected[PRICE] - 1)
    if VOLATILITY in expected:
        differences["volatility"] = _largest(got[VOLATILITY] / expected[VOLATILITY] - 1)
    widths = [np.log(each[UPPER] / each[LOWER]) for each in (got, expected)]
    differences["bands"] = _largest(widths[0] - widths[1]) / (float(widths[1].max()) or 1.0)
    for what, value in differences.items():
        if not value <= bounds[what]:
            raise ExportError(
                f"{file} is not the trained net: its {what} differs by {value:.2g} on {len(scaled)} windows, "
                f"the bound is {bounds[what]:.2g}"
            )
    return Parity(
        windows=len(scaled),
        scaled=differences["scaled output"],
        log_return=differences.get("return"),
        price=differences.get("price"),
        volatility=differences.get("volatility"),
        bands=differences["bands"],
        bound=BOUND,
        enough_windows=len(scaled) >= WANTED,
    )


def windows_with_history(trained: Trained, bars: Bars, ends: Times) -> Times:
    """The ends before which a gap-free segment holds all the rows that ``model_from_bars`` takes."""
    starts = segment_starts(bars)
    begins = starts[np.searchsorted(starts, ends, side="right") - 1]
    chosen: Times = ends[ends - begins + 1 >= trained.bar_rows]
    return chosen


def run_bars(session: onnxruntime.InferenceSession, trained: Trained, bars: Bars, ends: Times) -> Outputs:
    """The outputs of ``model_from_bars.onnx`` for the windows that end at ``ends``."""
    return run_from_bars(session, _stretches(trained, bars, ends), list(trained.features.extras))


def features_of_stretches(trained: Trained, bars: Bars, ends: Times) -> Features:
    """Raw windows ``[n, L, F]`` computed from just the rows that ``model_from_bars`` takes."""
    steps = trained.spec.sequence_length
    return np.stack(
        [compute_features(trained.features, stretch)[-steps:] for stretch in _stretches(trained, bars, ends)]
    )


def _stretches(trained: Trained, bars: Bars, ends: Times) -> list[Bars]:
    return [bars.rows(end + 1 - trained.bar_rows, end + 1) for end in ends]


def _largest(difference: npt.NDArray[Any]) -> float:
    return float(np.abs(difference).max())
