"""Steps a second of each preset on a GPU, and of S symbols packed into one process, at S = 1, 4, 16.

    KERAS_BACKEND=jax python -m benchmarks.gpu

The nets are backend-neutral Keras, so TensorFlow, JAX or PyTorch carry them, whichever is installed. Packing makes one
Keras model of S independent nets, so that S small steps are launched together. Says so and ends where there is no GPU;
``--anyway`` measures on the CPU, to see that it runs.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import keras
import numpy as np

from trainer.contract.presets import PRESETS
from trainer.networks.build import build_network


def gpus() -> int:
    """How many GPUs Keras' backend sees."""
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        return len([device for device in jax.devices() if device.platform == "gpu"])
    if backend == "torch":
        import torch

        return int(torch.cuda.device_count())
    import tensorflow as tf

    return len(tf.config.list_physical_devices("GPU"))


def pack(preset: str, symbols: int) -> Any:
    """One model of that many independent nets, each with its own input and output."""
    chosen = PRESETS[preset]  # type: ignore[index]
    inputs, outputs = [], []
    for number in range(symbols):
        net = build_network(chosen.model_type, chosen.sequence_length, 9, number)
        features = keras.Input((chosen.sequence_length, 9), name=f"features_{number}")
        net.name = f"net_{number}"
        inputs.append(features)
        outputs.append(net(features))
    model = keras.Model(inputs, outputs)
    model.compile(optimizer=keras.optimizers.Adam(chosen.learning_rate), loss=["mse"] * symbols)
    return model


def steps_per_second(preset: str, symbols: int, steps: int) -> float:
    """Training steps a second, each of one batch for every symbol, after a warm-up."""
    chosen = PRESETS[preset]  # type: ignore[index]
    rng = np.random.default_rng(0)
    shape = (chosen.batch_size, chosen.sequence_length, 9)
    x = [rng.normal(size=shape).astype(np.float32) for _ in range(symbols)]
    y = [rng.normal(size=(chosen.batch_size, 1)).astype(np.float32) for _ in range(symbols)]
    model = pack(preset, symbols)
    for _ in range(3):
        model.train_on_batch(x, y)
    began = time.monotonic()
    for _ in range(steps):
        model.train_on_batch(x, y)
    return steps / (time.monotonic() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", default="fast,balanced,quality,legacy")
    parser.add_argument("--symbols", default="1,4,16")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--anyway", action="store_true", help="measure on the CPU where there is no GPU")
    asked = parser.parse_args()
    if not gpus() and not asked.anyway:
        print(f"no GPU seen by Keras on {keras.backend.backend()}: nothing measured")
        return
    print(f"Keras on {keras.backend.backend()}, {gpus()} GPUs; steps/s, and symbols × steps/s")
    for preset in asked.presets.split(","):
        for symbols in (int(each) for each in asked.symbols.split(",")):
            rate = steps_per_second(preset, symbols, asked.steps)
            print(f"{preset:<10}{symbols:>4} symbols{rate:>10.1f}{rate * symbols:>10.1f}", flush=True)


if __name__ == "__main__":
    main()
