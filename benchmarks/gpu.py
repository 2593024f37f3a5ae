"""Steps a second of each preset on a GPU, and of S symbols packed into one process, at S = 1, 4, 16.

    python -m benchmarks.gpu

On JAX, which must be installed (TensorFlow need not be): the nets are backend-neutral Keras. Packing adds an axis of
symbols to every weight, optimizer state and batch, so that one launch does the same small operation for S nets. One
net alone is run by whatever kernels Keras chooses, cuDNN's among them, which can't be packed. Says so and ends where
there is no GPU; ``--anyway`` measures on the CPU, to see that it runs.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from typing import Any

os.environ["KERAS_BACKEND"] = "jax"  # before whatever imports Keras
try:
    import jax
except ImportError:
    raise SystemExit('this benchmark needs JAX for the GPU: pip install "jax[cuda12]"') from None

import keras
import numpy as np

from atb.contract.presets import PRESETS
from trainer.networks.build import build_network

CHUNK = 16
"""Steps in one call, as a training takes them."""
FEATURES = 9


def compile_steps(preset: str, symbols: int) -> Callable[[], float]:
    """A function that takes ``CHUNK`` steps of every symbol's net, each of one batch, and returns the mean loss."""
    chosen = PRESETS[preset]  # type: ignore[index]
    nets = [build_network(chosen.model_type, chosen.sequence_length, FEATURES, seed) for seed in range(symbols)]
    net, optimizer = nets[0], keras.optimizers.Adam(chosen.learning_rate)
    optimizer.build(net.trainable_variables)
    if symbols > 1:
        for layer in net._flatten_layers():
            if isinstance(layer, keras.layers.GRU | keras.layers.LSTM):
                layer.use_cudnn = False

    def values(name: str) -> list[Any]:
        return [np.stack(same) for same in zip(*([v.numpy() for v in getattr(n, name)] for n in nets), strict=True)]

    def loss(trainable: Any, other: Any, windows: Any, target: Any) -> Any:
        forecast, other = net.stateless_call(trainable, other, windows, training=True)
        return keras.ops.mean(keras.ops.square(forecast - target)), other

    def step(state: Any, batch: Any) -> Any:
        trainable, other, moments = state
        (mean, other), gradients = jax.value_and_grad(loss, has_aux=True)(trainable, other, *batch)
        trainable, moments = optimizer.stateless_apply(moments, gradients, trainable)
        return (trainable, other, moments), mean

    rng = np.random.default_rng(0)
    shape = (CHUNK, chosen.batch_size, chosen.sequence_length, FEATURES)
    batches = [rng.normal(size=(symbols, *each)).astype(np.float32) for each in (shape, (*shape[:2], 1))]
    moments = [np.stack([variable.numpy()] * symbols) for variable in optimizer.variables]
    state: Any = (values("trainable_variables"), values("non_trainable_variables"), moments)
    if symbols == 1:
        batches, state = jax.tree.map(lambda each: each[0], (batches, state))

    def take(state: Any, batches: Any) -> Any:
        return jax.lax.scan(step, state, batches)

    run = jax.jit(take if symbols == 1 else jax.vmap(take))
    batches = jax.device_put(batches)

    def train() -> float:
        nonlocal state
        state, losses = run(state, batches)
        return float(losses.mean())

    return train


def steps_per_second(preset: str, symbols: int, seconds: float) -> float:
    """Steps a second, each of one batch for every symbol, after a warm-up."""
    train = compile_steps(preset, symbols)
    train()
    began, calls = time.monotonic(), 0
    while (took := time.monotonic() - began) < seconds or calls < 2:
        if not np.isfinite(train()):
            raise SystemExit(f"{preset}, {symbols} symbols: the loss is not a number")
        calls += 1
    return calls * CHUNK / took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", default="fast,balanced,quality,legacy")
    parser.add_argument("--symbols", default="1,4,16")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each measurement takes at least")
    parser.add_argument("--anyway", action="store_true", help="measure on the CPU where there is no GPU")
    arguments = parser.parse_args()
    device = jax.devices()[0]
    if device.platform != "gpu" and not arguments.anyway:
        print("no GPU seen by JAX: nothing measured")
        return
    print(f"Keras on JAX {jax.__version__}, {device.device_kind}, steps of one batch for each symbol")
    print(f"{'preset':<10}{'symbols':>8}{'steps/s':>10}{'symbols × steps/s':>19}{'times the first':>17}")
    for preset in arguments.presets.split(","):
        alone = 0.0
        for symbols in (int(each) for each in arguments.symbols.split(",")):
            rate = steps_per_second(preset, symbols, arguments.seconds)
            alone = alone or rate * symbols
            print(
                f"{preset:<10}{symbols:>8}{rate:>10.1f}{rate * symbols:>19.1f}{rate * symbols / alone:>17.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
