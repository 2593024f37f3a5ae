"""The fit, read top to bottom: seeded epochs over shuffled row numbers, the best weights back at the end."""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from atb.contract.spec import Spec, data_check
from atb.errors import DeviceFull, Diverged, SpecError, Stopped
from trainer.fit.checkpoint import Arrays, Checkpoint, is_of
from trainer.fit.device import Device
from trainer.fit.execution import CHUNK, choose_execution
from trainer.fit.patience import Patience
from trainer.fit.steps import Augment, Table, compile_prediction, compile_training, predict_rows
from trainer.networks.backend import keras
from trainer.networks.reference import Predict
from trainer.process_memory import trim_malloc

log = logging.getLogger(__name__)


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
    """Callbacks of a fit: progress, checkpoints, and whether to stop."""

    should_stop: Callable[[], bool] = lambda: False
    on_epoch: Callable[[Epoch], None] = lambda epoch: None
    chunk: int = CHUNK
    """Steps between two checks of ``should_stop``."""
    save: Callable[[Checkpoint], None] = lambda checkpoint: None
    save_every: float = 60.0
    """Seconds between checkpoints: a kill without warning costs at most this much."""
    save_last: float = 10.0
    """Seconds of fitting that are worth a checkpoint at the end, in case what comes after fails."""
    resume: Callable[[], Checkpoint | None] = lambda: None
    identity: str = ""


@dataclass(frozen=True, eq=False)
class Fitted:
    """A net with its best weights, its history, and a compiled function to predict with it."""

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
    batch = min(spec.batch_size, len(train))
    if batch % device.count:
        raise SpecError(f"a batch of {batch} can't be divided evenly among {device.count} GPUs; set --batch-size")
    steps = len(train) // batch
    execution = choose_execution(
        device, steps=steps * spec.epochs, mixed_precision=spec.mixed_precision, own=bool(spec.net)
    )
    optimizer: Any = keras.optimizers.Adam(spec.learning_rate)
    if spec.mixed_precision:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    run_steps = compile_training(model, optimizer, table, batch, execution, augment)
    predict = compile_prediction(model)
    target = table.target[validation].astype(np.float64)

    fitting = _Fitting(
        model, optimizer, run_steps, spec, device, hooks or Hooks(), Patience(spec.patience, spec.learning_rate)
    )
    fitting.restore()
    while not fitting.done:
        epoch_began = time.monotonic()
        order = np.random.default_rng((spec.seed, fitting.at.epoch)).permutation(train.astype(np.int32))
        loss = fitting.train_epoch(order[: steps * batch].reshape(steps, batch))
        forecast = predict_rows(predict, table.features, validation, spec.sequence_length)
        validation_loss = float(np.mean(np.square(forecast.astype(np.float64) - target)))
        fitting.end_epoch(loss, validation_loss, time.monotonic() - epoch_began)
    fitting.save_last()
    _assign(model.variables, fitting.best)
    trim_malloc()
    return Fitted(
        model=model,
        predict=predict,
        history=tuple(fitting.at.history),
        best_epoch=fitting.watch.best_epoch,
        best_validation_loss=fitting.watch.best,
        stopped_by="patience" if fitting.watch.exhausted else "epochs",
        path=execution.name,
        steps_per_second=fitting.speed.steps_per_second,
    )


class _Fitting:
    """The mutable state of a fit, and how it is saved and restored."""

    def __init__(
        self,
        model: keras.Model,
        optimizer: Any,
        run_steps: Callable[[npt.NDArray[np.int32], int, int], float],
        spec: Spec,
        device: Device,
        hooks: Hooks,
        watch: Patience,
    ) -> None:
        self.watch, self.at, self.best, self.speed = watch, _Position(), _copy(model.variables), _Speed()
        self._model, self._optimizer, self._run_steps = model, optimizer, run_steps
        self._spec, self._device, self._hooks = spec, device, hooks
        self._name = f"{spec.symbol} {spec.preset}"
        self._last_saved = time.monotonic()

    @property
    def done(self) -> bool:
        """Whether the last epoch has run or patience has ended."""
        return self.at.epoch > self._spec.epochs or self.watch.exhausted

    def restore(self) -> None:
        """Resume where a checkpoint was saved, if there is one."""
        saved = self._hooks.resume()
        if saved is None:
            return
        if not is_of(saved, _copy(self._model.variables), _copy(self._optimizer.variables)):
            log.warning("the checkpoint is not of this net; the fit starts from the beginning")
            return
        try:
            self.watch, self.at = Patience.from_dict(saved.state["patience"]), _read_position(saved.state)
        except (KeyError, TypeError, ValueError, AttributeError):
            log.warning("the checkpoint does not say where the fit stood; the fit starts from the beginning")
            return
        self.best = saved.best
        _assign(self._model.variables, saved.variables)
        _assign(self._optimizer.variables, saved.optimizer)

    def save(self) -> None:
        """Save a checkpoint."""
        state = {"patience": self.watch.to_dict(), "position": _write_position(self.at)}
        variables, optimizer = _copy(self._model.variables), _copy(self._optimizer.variables)
        self._hooks.save(Checkpoint(self._hooks.identity, state, variables, optimizer, self.best))
        self._last_saved = time.monotonic()

    def save_last(self) -> None:
        """Save where the fit has ended, unless little would be lost."""
        if time.monotonic() - self._last_saved > self._hooks.save_last:
            self.save()

    def train_epoch(self, ends: npt.NDArray[np.int32]) -> float:
        """Take the epoch's steps, ``ends [steps, batch]``; the mean loss of a step. Raises what ``fit`` raises."""
        self._optimizer.learning_rate = self.watch.rate
        steps, at = len(ends), self.at
        while at.step < steps:
            count = min(self._hooks.chunk, steps - at.step)
            try:
                with self.speed.measure(count):
                    at.loss += self._run_steps(ends, at.step, count)
            except tf.errors.ResourceExhaustedError:
                raise DeviceFull(
                    f"{self._name}: a step of {ends.shape[1]} windows does not fit into the memory of the "
                    f"{self._device.name}; lower --batch-size"
                ) from None
            if self.speed.calls == 1:
                trim_malloc()  # what compiling took and will not need again
            at.step += count
            if not math.isfinite(at.loss):
                raise Diverged(
                    f"{self._name}: the loss is not a number in epoch {at.epoch}, step {at.step} of {steps}; lower "
                    f"--learning-rate {self.watch.rate:g}, or look at the bars: {data_check(self._spec)}"
                )
            if self._hooks.should_stop():
                self.save()
                raise Stopped(f"{self._name}: stopped in epoch {at.epoch}; the next attempt resumes it")
            if time.monotonic() - self._last_saved > self._hooks.save_every:
                self.save()
        return at.loss / steps

    def end_epoch(self, loss: float, validation_loss: float, seconds: float) -> None:
        """Keep the weights if they are the best so far, and move on. Raises Diverged."""
        number = self.at.epoch
        if not math.isfinite(validation_loss):
            raise Diverged(f"{self._name}: the validation loss is not a number in epoch {number}")
        epoch = Epoch(number, loss, validation_loss, self.watch.rate, seconds)
        if self.watch.update(number, validation_loss):
            self.best = _copy(self._model.variables)
        self.at = _Position(number + 1, history=[*self.at.history, epoch])
        self._hooks.on_epoch(epoch)


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
