"""How long an export takes and how fast its models answer: ours beside tf2onnx', by preset.

    python -m benchmarks.export [--json FILE]

Nets have random weights and 9 features; latencies are medians at batch 1 on one thread.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

from atb.contract.presets import PRESET_NAMES, PRESETS, PresetName
from atb.contract.spec import resolve_spec
from trainer.export.latency import measure_latency
from trainer.export.models import Trained, bars_model, features_model
from trainer.export.net import read_weights
from trainer.export.quantise import quantise
from trainer.features.scaling import Scaler, TargetScaler
from trainer.features.sets import feature_set
from trainer.forecast import open_session
from trainer.networks.build import build_network

COLUMNS = ("ours ms", "from bars ms", "int8 ms", "tf2onnx ms", "write ms", "tf2onnx s", "KiB", "int8 KiB", "difference")


def measure(preset: PresetName) -> dict[str, float]:
    """One row of the table."""
    chosen = PRESETS[preset]
    features = feature_set("classic")
    count = len(features.columns)
    model = build_network(chosen.model_type, chosen.sequence_length, count, seed=1)
    trained = Trained(
        spec=resolve_spec("BTCUSDT", preset, {"source": "sample", "as_of": "2026-01-01"}),
        features=features,
        scaler=Scaler(np.zeros(count), np.ones(count)),
        target=TargetScaler(0.0, 1.0),
        weights=read_weights(model),
        quantiles=(1.0, 1.0, 1.0),
    )
    began = time.perf_counter()
    ours = features_model(trained)
    written = time.perf_counter() - began
    began = time.perf_counter()
    theirs = convert(model, chosen.sequence_length, count)
    converted = time.perf_counter() - began
    small = quantise(ours)
    sessions = [open_session(each.SerializeToString()) for each in (ours, bars_model(trained), small, theirs)]
    latencies = [measure_latency(session) for session in sessions]
    windows = np.random.default_rng(0).normal(size=(64, chosen.sequence_length, count)).astype(np.float32)
    difference = np.abs(_scaled(sessions[0], windows) - _scaled(sessions[3], windows)).max()
    numbers = (*latencies, 1000 * written, converted, ours.ByteSize() / 1024, small.ByteSize() / 1024, difference)
    return dict(zip(COLUMNS, map(float, numbers), strict=True))


def convert(model: Any, steps: int, count: int) -> onnx.ModelProto:
    """The Keras model by tf2onnx; its input and output are scaled."""
    import tensorflow as tf
    import tf2onnx

    signature = [tf.TensorSpec((None, steps, count), tf.float32, name="features")]
    traced = tf.function(lambda windows: model(windows, training=False), input_signature=signature)
    converted, _ = tf2onnx.convert.from_function(traced, input_signature=signature, opset=17)
    return converted


def _scaled(session: onnxruntime.InferenceSession, windows: np.ndarray[Any, Any]) -> Any:
    return session.run(None, {"features": windows})[0]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    path = parser.parse_args().json
    rows = {preset: measure(preset) for preset in PRESET_NAMES}
    print(f"{'preset':<10}" + "".join(f"{column:>14}" for column in COLUMNS))
    for preset, row in rows.items():
        print(f"{preset:<10}" + "".join(f"{row[column]:>14.3g}" for column in COLUMNS))
    if path:
        path.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
