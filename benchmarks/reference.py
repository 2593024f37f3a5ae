"""The published way of training, done plainly: what ``benchmarks.train`` compares ours with.

float64 features by pandas, a scaler for each column, every window copied out, ``tf.data`` with cache, shuffle(2048),
batch and prefetch, Keras ``fit`` with its callbacks, the model saved and converted by tf2onnx. Two faults of the
original are not repeated, since nothing could be compared with them: the scalers see train rows only, and the target
is the same scaled log-return as ours. Prints one JSON line. Run by ``benchmarks.train``, in a process of its own.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

STARTED = time.monotonic()


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("bars", "preset", "start", "as-of"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--patience", type=int, required=True)
    parser.add_argument("--seed", type=int, default=42)
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

    import keras
    import numpy as np
    import pandas as pd
    import tensorflow as tf
    from sklearn.preprocessing import StandardScaler

    from atb.contract.presets import PRESETS
    from trainer.networks.build import build_network

    preset, stages = PRESETS[arguments.preset], {"import": time.monotonic() - STARTED}
    from trainer.process_memory import peak_memory

    imported = peak_memory()
    steps = preset.sequence_length

    def done(name: str, began: float) -> float:
        stages[name] = time.monotonic() - began
        return time.monotonic()

    at = time.monotonic()
    frame = pd.read_parquet(arguments.bars).set_index("timestamp")
    start, as_of = (pd.Timestamp(datetime.fromisoformat(text)) for text in (arguments.start, arguments.as_of))
    frame = frame[(frame.index >= start - pd.Timedelta(hours=300)) & (frame.index < as_of)]
    at = done("data loading", at)

    for days in (7, 14, 30):
        frame[f"sma_{days}"] = frame["close"].rolling(days).mean()
    change = frame["close"].diff()
    gain = change.clip(lower=0).ewm(alpha=1 / 14, adjust=False).mean()
    loss = (-change.clip(upper=0)).ewm(alpha=1 / 14, adjust=False).mean()
    frame["rsi"] = (100 * gain / (gain + loss)).fillna(50)
    frame = frame.dropna()
    frame = frame[frame.index >= start]
    at = done("features", at)

    rows = len(frame)
    stops = [0, int(rows * 0.70), int(rows * 0.85), rows]
    close = frame["close"].to_numpy()
    returns = np.zeros(rows)
    returns[:-1] = np.log(close[1:] / close[:-1])
    scaled = frame.copy()
    for column in frame.columns:
        scaler = StandardScaler().fit(frame[[column]].iloc[: stops[1]])
        scaled[column] = scaler.transform(frame[[column]])
    train_returns = returns[steps - 1 : stops[1] - 1]
    target = (returns - train_returns.mean()) / train_returns.std()
    values = scaled.to_numpy()
    parts = []
    for begin, stop in itertools.pairwise(stops):
        ends = range(begin + steps - 1, stop - 1)
        windows = np.array([values[end - steps + 1 : end + 1] for end in ends])
        parts.append((windows, np.array([target[end] for end in ends])[:, None]))
    data = tf.data.Dataset.from_tensor_slices(parts[0]).cache().shuffle(2048, seed=arguments.seed)
    data = data.batch(preset.batch_size).prefetch(tf.data.AUTOTUNE)
    validation = (
        tf.data.Dataset.from_tensor_slices(parts[1]).cache().batch(preset.batch_size).prefetch(tf.data.AUTOTUNE)
    )
    at = done("dataset", at)

    class Times(keras.callbacks.Callback):  # type: ignore[misc]
        """Seconds of each epoch's training steps, without the validation."""

        seconds: list[float]

        def on_train_begin(self, logs: Any = None) -> None:
            self.seconds = []

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.began = time.monotonic()

        def on_test_begin(self, logs: Any = None) -> None:
            self.seconds.append(time.monotonic() - self.began)

    model = build_network(preset.model_type, steps, 9, arguments.seed)
    model.compile(optimizer=keras.optimizers.Adam(preset.learning_rate), loss="mse")
    times = Times()
    callbacks = [
        keras.callbacks.EarlyStopping("val_loss", patience=arguments.patience, restore_best_weights=True),
        keras.callbacks.ReduceLROnPlateau(
            "val_loss", factor=0.5, patience=max(3, arguments.patience // 3), min_lr=1e-6
        ),
        times,
    ]
    history = model.fit(data, validation_data=validation, epochs=arguments.epochs, callbacks=callbacks, verbose=0)
    at = done("training", at)

    answers = model.predict(parts[2][0], verbose=0)
    test_ends = np.arange(stops[2] + steps - 1, rows - 1)
    forecast = close[test_ends] * np.exp(answers[:, 0] * train_returns.std() + train_returns.mean())
    rmse = float(np.sqrt(np.mean(np.square(forecast - close[test_ends + 1]))))
    at = done("evaluation", at)

    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder, "model.keras"))
        import tf2onnx

        signature = [tf.TensorSpec((None, steps, 9), tf.float32, name="features")]
        call = tf.function(lambda features: model(features, training=False), input_signature=signature)
        tf2onnx.convert.from_function(call, signature, output_path=str(Path(folder, "model.onnx")))
    done("saving", at)
    steps_each = -(-len(parts[0][0]) // preset.batch_size)
    timed = times.seconds[1:] or times.seconds
    found = {
        "stages": stages,
        "total": time.monotonic() - STARTED,
        "epochs": len(history.history["loss"]),
        "step_ms": 1000 * sum(timed) / len(timed) / steps_each,
        "loss": history.history["loss"],
        "val_loss": history.history["val_loss"],
        "rmse": rmse,
        "peak_mb": peak_memory() / 1e6,
        "memory_mb": (peak_memory() - imported) / 1e6,
    }
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
