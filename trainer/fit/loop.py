"""The fit, read top to bottom: seeded epochs over shuffled row numbers, the best weights back at the end."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from atb.contract.spec import Spec
from atb.errors import DeviceFull, Diverged, SpecError, Stopped
from trainer.fit.checkpoint import Arrays, Checkpoint
from trainer.fit.device import Device
from trainer.fit.execution import CHUNK, choose_execution
from trainer.fit.patience import Patience
from trainer.fit.steps import Augment, Table, compile_prediction, compile_training, predict_rows
from trainer.networks.backend import keras
from trainer.networks.reference import Predict
from trainer.process_memory import trim_malloc


@dataclass(frozen=True)
class Epoch:
    """One line of the history. Losses are mean squared errors of the scaled target."""

    number: int
    loss: float
    validation_loss: float
    rate: float
    seconds: float


@dataclass(eq=False)
class Hooks:
    """What the world around a fit wants to know, and whether it should stop."""

    should_stop: Callable[[], bool] = lambda: False
    on_epoch: Callable[[Epoch], None] = lambda epoch: None
    chunk: int = CHUNK
    """Steps between two looks at ``should_stop``."""
    save: Callable[[Checkpoint], None] = lambda checkpoint: None
    save_every: float = 60.0
    """Seconds between checkpoints: the guarantee where no one says stop before the end."""
    resume: Callable[[], Checkpoint | None] = lambda: None
    identity: str = ""


@dataclass(frozen=True, eq=False)
class Fitted:
    """A net with its best weights, how it came to them, and a compiled way to ask it."""

    model: keras.Model
    predict: Predict
    history: tuple[Epoch, ...]
    best_epoch: int
    best_validation_loss: float
    stopped_by: Literal["patience", "epochs"]
    path: str
    steps_per_second: float


@dataclass
class _Position:
    epoch: int = 1
    step: int = 0
    loss: float = 0.0
    history: list[Epoch] = field(default_factory=list)


class _Speed:
    """Steps a second, without the first call, which compiles."""

    def __init__(self) -> None:
        self._calls: list[tuple[int, float]] = []

    @property
    def calls(self) -> int:
        return len(self._calls)

    @contextlib.contextmanager
    def measure(self, steps: int) -> Iterator[None]:
        began = time.monotonic()
        yield
        self._calls.append((steps, time.monotonic() - began))

    @property
    def steps_per_second(self) -> float:
        calls = self._calls[1:] or self._calls
        return sum(steps for steps, _ in calls) / max(sum(seconds for _, seconds in calls), 1e-9)


def fit(
    model: keras.Model,
    table: Table,
    train: npt.NDArray[np.int64],
    validation: npt.NDArray[np.int64],
    spec: Spec,
    device: Device,
    hooks: Hooks | None = None,
    augment: Augment | None = None,
) -> Fitted:
    """Fit the net on windows that end at ``train``, judged by those at ``validation``.

    Each epoch shuffles all train windows by (seed, epoch) and leaves out what doesn't fill the last batch. Raises
    Diverged for a loss that is not a number, DeviceFull where a step doesn't fit into the device's memory, Stopped
    after saving a checkpoint when ``hooks.should_stop`` says so.
    """
    hooks = hooks or Hooks()
    batch = min(spec.batch_size, len(train))
    if batch % device.count:
        raise SpecError(f"a batch of {batch} can't be shared out evenly to {device.count} GPUs; set --batch-size")
    steps = len(train) // batch
    path = choose_execution(device, steps=steps * spec.epochs, mixed_precision=spec.mixed_precision)
    optimizer: Any = keras.optimizers.Adam(spec.learning_rate)
    if spec.mixed_precision:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    run_steps = compile_training(model, optimizer, table, batch, path, augment)
    predict = compile_prediction(model)
    wanted = table.target[validation].astype(np.float64)

    watch, at, best = Patience(spec.patience, spec.learning_rate), _Position(), _copy(model.variables)
    saved = hooks.resume()
    if saved is not None:
        watch, at, best = Patience.from_dict(saved.state["patience"]), _read_position(saved.state), saved.best
        _assign(model.variables, saved.variables)
        _assign(optimizer.variables, saved.optimizer)

    def save() -> None:
        state = {"patience": watch.to_dict(), "position": _write_position(at)}
        hooks.save(Checkpoint(hooks.identity, state, _copy(model.variables), _copy(optimizer.variables), best))

    speed, last_saved = _Speed(), time.monotonic()
    while at.epoch <= spec.epochs and not watch.exhausted:
        epoch_began = time.monotonic()
        optimizer.learning_rate = watch.rate
        order = np.random.default_rng((spec.seed, at.epoch)).permutation(train.astype(np.int32))
        ends = order[: steps * batch].reshape(steps, batch)
        while at.step < steps:
            count = min(hooks.chunk, steps - at.step)
            try:
                with speed.measure(count):
                    at.loss += run_steps(ends, at.step, count)
            except tf.errors.ResourceExhaustedError:
                raise DeviceFull(
                    f"{spec.symbol} {spec.preset}: a step of {batch} windows does not fit into the memory of the "
                    f"{device.name}; lower --batch-size"
                ) from None
            if speed.calls == 1:
                trim_malloc()  # what compiling took and will not need again
            at.step += count
            if not math.isfinite(at.loss):
                raise Diverged(
                    f"{spec.symbol} {spec.preset}: the loss is not a number in epoch {at.epoch}, step {at.step} of "
                    f"{steps}; lower --learning-rate {watch.rate:g}, or look at the bars: atb data check {spec.symbol}"
                )
            if hooks.should_stop():
                save()
                raise Stopped(f"{spec.symbol} {spec.preset}: stopped in epoch {at.epoch}; the next attempt goes on")
            if time.monotonic() - last_saved > hooks.save_every:
                save()
                last_saved = time.monotonic()
        said = predict_rows(predict, table.features, validation, spec.sequence_length)
        validation_loss = float(np.mean(np.square(said.astype(np.float64) - wanted)))
        if not math.isfinite(validation_loss):
            raise Diverged(f"{spec.symbol} {spec.preset}: the validation loss is not a number in epoch {at.epoch}")
        seconds = time.monotonic() - epoch_began
        epoch = Epoch(at.epoch, at.loss / steps, validation_loss, watch.rate, seconds)
        if watch.see(at.epoch, validation_loss):
            best = _copy(model.variables)
        at = _Position(at.epoch + 1, history=[*at.history, epoch])
        hooks.on_epoch(epoch)
    _assign(model.variables, best)
    trim_malloc()
    return Fitted(
        model=model,
        predict=predict,
        history=tuple(at.history),
        best_epoch=watch.best_epoch,
        best_validation_loss=watch.best,
        stopped_by="patience" if watch.exhausted else "epochs",
        path=path.name,
        steps_per_second=speed.steps_per_second,
    )


def _copy(variables: list[Any]) -> Arrays:
    return [tf.convert_to_tensor(variable).numpy().copy() for variable in variables]


def _assign(variables: list[Any], arrays: Arrays) -> None:
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)


def _write_position(at: _Position) -> dict[str, Any]:
    return {"epoch": at.epoch, "step": at.step, "loss": at.loss, "history": [vars(epoch) for epoch in at.history]}


def _read_position(state: dict[str, Any]) -> _Position:
    fields = state["position"]
    history = [Epoch(**epoch) for epoch in fields["history"]]
    return _Position(fields["epoch"], fields["step"], fields["loss"], history)
