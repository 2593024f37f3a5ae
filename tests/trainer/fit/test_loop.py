"""The fit: seeded, stopped, resumed."""

from __future__ import annotations

import functools
import io
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from atb.contract.spec import Spec, resolve_spec
from atb.errors import DeviceFull, Diverged, Stopped
from tests.trainer.fit.small_net import build_small_net
from trainer.fit.augment import make_augment
from trainer.fit.checkpoint import Checkpoint, is_of, pack_checkpoint, unpack_checkpoint
from trainer.fit.device import Device, prepare_device
from trainer.fit.execution import CUDNN, KERAS, XLA, choose_execution
from trainer.fit.loop import Fitted, Hooks, fit
from trainer.fit.steps import Table, compile_prediction, compile_training, predict_rows

CPU = prepare_device("cpu", threads=1)
ROWS, STEPS = 400, 16


def _table() -> Table:
    rng = np.random.default_rng(3)
    features = rng.normal(size=(ROWS, 9)).astype(np.float32)
    return Table(features, np.convolve(features[:, 3], [0.5, 0.3], "same").astype(np.float32))


def _spec(preset: str = "fast", **options: Any) -> Spec:
    chosen = {"sequence_length": STEPS, "batch_size": 32, "epochs": 3, "as_of": "2026-01-01"} | options
    return resolve_spec("BTCUSDT", preset, chosen, now=datetime(2026, 1, 1, tzinfo=UTC))


def _net(seed: int) -> keras.Model:
    """Small, so that it is traced at once, with each kind of state that a net has: masks drawn, averages kept."""
    layers = keras.layers
    glorot = keras.initializers.GlorotUniform
    x = inputs = keras.Input((STEPS, 9))
    x = layers.Dense(8, "relu", kernel_initializer=glorot(seed))(layers.Flatten()(x))
    x = layers.Dropout(0.2, seed=seed)(layers.BatchNormalization()(x))
    return keras.Model(inputs, layers.Dense(1, kernel_initializer=glorot(seed + 1))(x))


def _fit(spec: Spec, hooks: Hooks | None = None) -> Fitted:
    model = _net(spec.seed)
    train, validation = np.arange(STEPS, 300), np.arange(320, ROWS)
    return fit(model, _table(), train, validation, spec, CPU, hooks, make_augment(spec.augment, spec.seed))


def _losses(fitted: Fitted) -> list[tuple[float, float]]:
    return [(epoch.loss, epoch.validation_loss) for epoch in fitted.history]


def test_the_same_seed_gives_the_same_losses_and_weights() -> None:
    one, two, other = _fit(_spec()), _fit(_spec()), _fit(_spec(seed=7))
    assert _losses(one) == _losses(two)
    assert all(np.array_equal(a, b) for a, b in zip(one.model.get_weights(), two.model.get_weights(), strict=True))
    assert _losses(one) != _losses(other)


@functools.cache
def _whole(spec: Spec) -> Fitted:
    return _fit(spec, Hooks(chunk=2))


@pytest.mark.parametrize(("stop_after", "augment"), [(1, ""), (9, ""), (6, "jitter,scale")])
def test_a_resumed_fit_equals_an_uninterrupted_one(stop_after: int, augment: str) -> None:
    spec = _spec(augment=augment)
    whole = _whole(spec)
    saved: list[bytes] = []
    calls = iter(range(1_000))
    hooks = Hooks(
        should_stop=lambda: next(calls) >= stop_after,
        save=lambda checkpoint: saved.append(pack_checkpoint(checkpoint)),
        identity="same",
        chunk=2,  # so that stops fall inside an epoch of 8 steps
    )
    with pytest.raises(Stopped):
        _fit(spec, hooks)
    resumed = _fit(spec, Hooks(resume=lambda: unpack_checkpoint(saved[-1], "same"), chunk=2))
    assert _losses(resumed) == _losses(whole)
    weights = zip(resumed.model.get_weights(), whole.model.get_weights(), strict=True)
    assert all(np.array_equal(a, b) for a, b in weights)


def test_what_was_fitted_to_the_end_is_not_fitted_again() -> None:
    spec = _spec()
    saved: list[bytes] = []
    whole = _fit(spec, Hooks(save=lambda each: saved.append(pack_checkpoint(each)), identity="same", save_last=0))
    again = _fit(spec, Hooks(resume=lambda: unpack_checkpoint(saved[-1], "same"), should_stop=lambda: True))
    assert len(saved) == 1
    assert _losses(again) == _losses(whole)
    weights = zip(again.model.get_weights(), whole.model.get_weights(), strict=True)
    assert all(np.array_equal(a, b) for a, b in weights)


def test_a_checkpoint_that_is_not_of_this_net_is_left_alone_and_the_fit_begins_anew() -> None:
    fresh, good = _first_epoch(), _fit_to_the_end(_spec())
    for spoilt in (
        replace(good, variables=good.variables[1:]),
        replace(good, state={}),
        replace(good, state={"patience": {}, "position": "here"}),
    ):
        again = _first_epoch(spoilt)
        assert again.state == fresh.state
        assert all(np.array_equal(a, b) for a, b in zip(again.variables, fresh.variables, strict=True))


def test_a_checkpoint_is_of_a_net_with_its_shapes_and_numbers_alone() -> None:
    ones, more = [np.ones(2), np.ones((2, 3))], [np.ones(4)]
    good = Checkpoint("mine", {}, ones, more, ones)
    assert is_of(good, ones, more)
    for spoilt in (
        replace(good, variables=ones[1:]),
        replace(good, best=[array[..., None] for array in ones]),
        replace(good, optimizer=[np.full_like(array, np.nan) for array in more]),
        replace(good, variables=[array.astype(np.float32) for array in ones]),
    ):
        assert not is_of(spoilt, ones, more)


def _first_epoch(resumed: Checkpoint | None = None) -> Checkpoint:
    """What a fit saves that is stopped at the end of its first epoch."""
    saved: list[Checkpoint] = []
    with pytest.raises(Stopped, match="stopped in epoch 1"):
        _fit(_spec(), Hooks(should_stop=lambda: True, save=saved.append, resume=lambda: resumed))
    return saved[-1]


def _fit_to_the_end(spec: Spec) -> Checkpoint:
    saved: list[Checkpoint] = []
    _fit(spec, Hooks(save=saved.append, save_last=0))
    return saved[-1]


def test_what_unpacks_to_anything_is_no_checkpoint() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "head.npy", b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False, 'shape': (9999999999,), }"
        )
    assert unpack_checkpoint(packed.getvalue(), "mine") is None
    whole = pack_checkpoint(Checkpoint("mine", {}, [np.ones(50)], [], []))
    for seed in range(200):
        rng = np.random.default_rng(seed)
        data = bytearray(whole)
        for at in rng.integers(0, len(data), size=3):
            data[at] = rng.integers(256)
        found = unpack_checkpoint(bytes(data), "mine")
        assert found is None or isinstance(found.state, dict)


def _npz(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return packed.getvalue()


def _npy(value: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array(value), allow_pickle=True)
    return stream.getvalue()


def _header(text: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


UNUSABLE: dict[str, Callable[[], bytes]] = {
    "no archive": lambda: b"PK\x03\x04" + bytes(50),
    "a pickle": lambda: _npz({"head.npy": _npy([{"identity": "mine"}, None])}),
    "JSON nested deeply": lambda: _npz({"head.npy": _npy("[" * 100_000)}),
    "a header nested deeply": lambda: _npz({"head.npy": _header("(" * 9_000)}),
    "a header of an open string": lambda: _npz({"head.npy": _header("{'descr': '''<f8")}),
    "JSON of another kind": lambda: _npz({"head.npy": _npy("[1]")}),
    "arrays of no group": lambda: _npz({"head.npy": _npy('{"identity": "mine"}'), "other/0000.npy": _npy(1.0)}),
    "control characters": lambda: _npz({"head.npy": _npy('{"identity": "mine"}'), "\x1b]0;x.npy": _npy(1.0)}),
    "packed by bzip2": lambda: _npz({"head.npy": _npy('{"identity": "mine", "state": {}}')}, zipfile.ZIP_BZIP2),
    "no head": lambda: _npz({"variables/0000.npy": _npy(1.0)}),
}


@pytest.mark.parametrize("make", UNUSABLE.values(), ids=UNUSABLE)
def test_a_checkpoint_that_cannot_be_used_is_one_line_of_the_log(
    make: Callable[[], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    assert unpack_checkpoint(make(), "mine") is None
    (line,) = caplog.messages
    assert line.startswith("a checkpoint is not usable")
    assert line.isprintable()
    assert len(line) < 300


def test_a_checkpoint_that_unpacks_to_too_much_is_not_unpacked(caplog: pytest.LogCaptureFixture) -> None:
    data = bytearray(_npz({"head.npy": _npy('{"identity": "mine"}')}))
    at = data.rindex(b"PK\x01\x02")
    data[at + 24 : at + 28] = (2**31).to_bytes(4, "little")  # the size that the directory promises
    assert unpack_checkpoint(bytes(data), "mine") is None
    assert "2,147,483,648 bytes" in caplog.text


def test_a_checkpoint_of_something_else_or_a_broken_one_is_not_used() -> None:
    data = pack_checkpoint(Checkpoint("mine", {"a": 1}, [np.ones(2)], [], [np.zeros(1)]))
    found = unpack_checkpoint(data, "mine")
    assert found is not None
    assert found.state == {"a": 1}
    assert unpack_checkpoint(data, "yours") is None
    assert unpack_checkpoint(data[:-30], "mine") is None
    assert unpack_checkpoint(b"", "mine") is None


def test_a_loss_that_is_not_a_number_stops_the_fit() -> None:
    spec, table = _spec(), _table()
    table.target[50] = np.nan
    model = _net(1)
    with pytest.raises(Diverged, match=r"epoch 1.*lower --learning-rate"):
        fit(model, table, np.arange(STEPS, 300), np.arange(320, ROWS), spec, CPU)


def test_a_step_that_does_not_fit_into_memory_is_one_line() -> None:
    spec = _spec()
    model = _net(spec.seed)

    def swell(windows: Any, step: Any) -> Any:
        # 256 TiB: more than there are addresses
        return windows + tf.reduce_sum(tf.broadcast_to(windows[0, 0, 0], [1 << 23, 1 << 23]))

    with pytest.raises(DeviceFull, match=r"a step of 32 windows .* cpu \(1 thread\); lower --batch-size"):
        fit(model, _table(), np.arange(STEPS, 300), np.arange(320, ROWS), spec, CPU, augment=swell)


def test_the_best_weights_are_back_at_the_end() -> None:
    fitted = _fit(_spec(epochs=6, learning_rate=0.05))
    wanted = _table().target[320:]
    outputs = predict_rows(fitted.predict, _table().features, np.arange(320, ROWS), STEPS)
    found = float(np.mean(np.square(outputs - wanted)))
    assert found == pytest.approx(min(epoch.validation_loss for epoch in fitted.history), rel=1e-6)
    assert fitted.best_epoch == 1 + int(np.argmin([epoch.validation_loss for epoch in fitted.history]))


def test_every_path_takes_the_same_steps() -> None:
    ends = np.random.default_rng(0).integers(STEPS, 300, (6, 16)).astype(np.int32)
    curves = []
    for path in (XLA, KERAS):
        model = build_small_net(STEPS, 9, 1)
        train = compile_training(model, keras.optimizers.Adam(1e-3), _table(), 16, path)
        curves.append([train(ends, step, 1) for step in range(6)])
        answers = predict_rows(compile_prediction(model), _table().features, np.arange(100, 103), STEPS)
        curves[-1] += answers.tolist()
    np.testing.assert_allclose(curves[0], curves[1], rtol=2e-4, atol=2e-5)


def test_the_path_follows_device_and_length() -> None:
    gpu = Device("gpu", 1, 1)
    assert choose_execution(CPU, steps=100_000, mixed_precision=False) is XLA
    assert choose_execution(CPU, steps=100, mixed_precision=False) is KERAS
    assert choose_execution(CPU, steps=100_000, mixed_precision=True) is KERAS
    assert choose_execution(gpu, steps=100_000, mixed_precision=True) is CUDNN


def test_augmentation_follows_from_seed_and_step() -> None:
    augment = make_augment("jitter,scale", 5)
    assert augment is not None
    windows = np.ones((4, 8, 3), np.float32)
    assert np.array_equal(augment(windows, 3), augment(windows, 3))
    assert not np.array_equal(augment(windows, 3), augment(windows, 4))
    assert make_augment("", 5) is None
