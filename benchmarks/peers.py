"""A training step of the four nets: plain Keras, Keras on JAX, PyTorch and ours, on one and two threads.

    python -m benchmarks.peers --repeat 3
    pip install jax torch        # optional: what is not installed is skipped

Each measurement is a process of its own on as many cores as it has threads, and all take turns. Prints milliseconds a
step, the minimum and the median over all epochs but the first of each process. The batches, windows, losses and
optimisers are the same: Adam on the mean squared error of made-up windows.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np

from atb.contract.presets import PRESET_NAMES, PRESETS
from trainer.networks.architecture import ARCHITECTURES

COLUMNS = 9
STEPS, EPOCHS = 48, 5
"""Steps of an epoch, and epochs; compiling falls into the first."""
PEERS = {"keras": "tensorflow", "keras-jax": "jax", "pytorch": "torch", "ours": "tensorflow"}
"""What each needs to be installed."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", default=",".join(PRESET_NAMES))
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--peers", default=",".join(PEERS))
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--one", nargs=3, metavar=("PEER", "PRESET", "THREADS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one[0], arguments.one[1], int(arguments.one[2]))))
        return
    peers = [name for name in arguments.peers.split(",") if importlib.util.find_spec(PEERS[name]) is not None]
    if missing := [name for name in arguments.peers.split(",") if name not in peers]:
        print(f"not installed, left out: {', '.join(missing)}")
    cells = list(itertools.product(arguments.presets.split(","), arguments.threads.split(",")))
    print(f"{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}; ms a step: minimum (median)")
    found: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for _ in range(arguments.repeat):
        for (preset, threads), peer in itertools.product(cells, peers):
            found[preset, threads, peer] += measure_apart(peer, preset, threads)
    print(f"{'net':<12}{'threads':>8}" + "".join(f"{peer:>18}" for peer in peers) + f"{'best peer / ours':>18}")
    for preset, threads in cells:
        values = {peer: found[preset, threads, peer] for peer in peers}
        texts = [f"{min(each):.2f} ({statistics.median(each):.2f})" if each else "failed" for each in values.values()]
        others = [min(each) for peer, each in values.items() if peer != "ours" and each]
        ratio = f"{min(others) / min(values['ours']):.2f}" if others and values.get("ours") else ""
        print(f"{preset:<12}{threads:>8}" + "".join(f"{text:>18}" for text in texts) + f"{ratio:>18}")


def measure_apart(peer: str, preset: str, threads: str) -> list[float]:
    """Milliseconds a step of each epoch but the first, in a process of its own; none where that fails."""
    environment = {**os.environ, "OMP_NUM_THREADS": threads, "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment["KERAS_BACKEND"] = "jax" if peer == "keras-jax" else "tensorflow"
    command = [sys.executable, "-m", "benchmarks.peers", "--one", peer, preset, threads]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        print(f"{peer} {preset}: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
        return []
    found: list[float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(peer: str, preset: str, threads: int) -> list[float]:
    """The same, in this process."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    chosen = PRESETS[preset]  # type: ignore[index]
    rng = np.random.default_rng(1)
    count = STEPS * chosen.batch_size
    windows = rng.normal(size=(count, chosen.sequence_length, COLUMNS)).astype(np.float32)
    target = rng.normal(size=count).astype(np.float32)
    prepare = {"keras": train_keras, "keras-jax": train_keras, "pytorch": train_pytorch, "ours": train_ours}[peer]
    epoch = prepare(chosen, windows, target, threads)
    seconds = []
    for _ in range(EPOCHS):
        began = time.perf_counter()
        epoch()
        seconds.append(time.perf_counter() - began)
    return [1000 * each / STEPS for each in seconds[1:]]


def train_keras(chosen: Any, windows: Any, target: Any, threads: int) -> Callable[[], None]:
    """Keras' own ``fit`` over arrays, on the backend that the environment names."""
    import keras

    if keras.backend.backend() == "tensorflow":
        set_tensorflow_threads(threads)
    model = plain_net(chosen)
    model.compile(optimizer=keras.optimizers.Adam(chosen.learning_rate), loss="mse")
    return lambda: model.fit(windows, target[:, None], batch_size=chosen.batch_size, epochs=1, verbose=0)


def plain_net(chosen: Any) -> Any:
    """The net from Keras' own layers."""
    import keras

    from trainer.networks.layers import connect, convolve, recur, seeds_from

    plan, seeds = ARCHITECTURES[chosen.model_type], seeds_from(42)
    features = keras.Input((chosen.sequence_length, COLUMNS))
    x = features
    for name, conv in plan.named_convs:
        x = convolve(x, conv, name, seeds, "float32")
    last = plan.named_recurrents[-1][0]
    for name, recurrent in plan.named_recurrents:
        x = recur(x, recurrent, name != last, name, seeds, "float32")
    for name, dense in plan.named_denses:
        x = connect(x, dense, name, seeds, "float32")
    return keras.Model(features, keras.layers.Dense(1)(x))


def train_ours(chosen: Any, windows: Any, target: Any, threads: int) -> Callable[[], None]:
    """Our steps, whose windows are gathered from a table of as many rows."""
    import keras

    from trainer.fit.execution import CHUNK, XLA
    from trainer.fit.steps import Table, compile_training
    from trainer.networks.build import build_network

    os.environ["XLA_FLAGS"] = f"--xla_cpu_use_fusion_emitters=false {os.environ.get('XLA_FLAGS', '')}"
    set_tensorflow_threads(threads)
    model = build_network(chosen.model_type, chosen.sequence_length, COLUMNS, 42)
    table = Table(np.ascontiguousarray(windows[:, -1]), target)
    train = compile_training(model, keras.optimizers.Adam(chosen.learning_rate), table, chosen.batch_size, XLA)
    ends = np.random.default_rng(2).integers(chosen.sequence_length, len(target), (STEPS, chosen.batch_size))
    batches = ends.astype(np.int32)

    def epoch() -> None:
        for start in range(0, STEPS, CHUNK):
            train(batches, start, min(CHUNK, STEPS - start))

    return epoch


def set_tensorflow_threads(threads: int) -> None:
    """Before TensorFlow has run anything."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)


def train_pytorch(chosen: Any, windows: Any, target: Any, threads: int) -> Callable[[], None]:
    """The same net as PyTorch's own modules, in a plain loop."""
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(42)
    net = torch_net(chosen)
    optimizer = torch.optim.Adam(net.parameters(), lr=chosen.learning_rate)
    loss_of = torch.nn.MSELoss()
    x, y = torch.from_numpy(windows), torch.from_numpy(target)[:, None]

    def epoch() -> None:
        net.train()
        for rows in torch.randperm(len(x)).split(chosen.batch_size):
            optimizer.zero_grad(set_to_none=True)
            loss_of(net(x[rows]), y[rows]).backward()
            optimizer.step()

    return epoch


def torch_net(chosen: Any) -> Any:
    """The architecture as a module."""
    from torch import nn

    plan = ARCHITECTURES[chosen.model_type]

    class Net(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            width, convs, recurrents, norms, drops, denses = COLUMNS, [], [], [], [], []
            for conv in plan.convs:
                layers: list[Any] = [nn.Conv1d(width, conv.filters, 3, padding=1 if conv.padding == "same" else 0)]
                layers += [nn.BatchNorm1d(conv.filters, eps=1e-3)] if conv.normalise else []
                layers += [nn.ReLU(), *([nn.MaxPool1d(2)] if conv.pool else [])]
                convs.append(nn.Sequential(*layers))
                width = conv.filters
            for each in plan.recurrents:
                kind = nn.GRU if each.cell == "gru" else nn.LSTM
                recurrents.append(kind(width, each.units, batch_first=True, bidirectional=each.bidirectional))
                width = each.units * (2 if each.bidirectional else 1)
                norms.append(nn.LayerNorm(width, eps=1e-3) if each.normalise else nn.Identity())
                drops.append(nn.Dropout(each.dropout))
            for dense in plan.denses:
                denses += [nn.Linear(width, dense.units), nn.ReLU(), nn.Dropout(dense.dropout)]
                width = dense.units
            self.convs, self.recurrents = nn.Sequential(*convs), nn.ModuleList(recurrents)
            self.norms, self.drops = nn.ModuleList(norms), nn.ModuleList(drops)
            self.denses = nn.Sequential(*denses, nn.Linear(width, 1))

        def forward(self, x: Any) -> Any:
            x = self.convs(x.transpose(1, 2)).transpose(1, 2)
            for number, recurrent in enumerate(self.recurrents):
                x, _ = recurrent(x)
                if number == len(self.recurrents) - 1:
                    x = x[:, -1]
                x = self.drops[number](self.norms[number](x))
            return self.denses(x)

    return Net()


if __name__ == "__main__":
    main()
