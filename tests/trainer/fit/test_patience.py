"""Our patience beside the callbacks of Keras that it stands for."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from trainer.fit.patience import Patience


def _keras(losses: list[float], patience: int, rate: float) -> tuple[int, list[float]]:
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(optimizer=keras.optimizers.Adam(rate), loss="mse")
    stop = keras.callbacks.EarlyStopping("val_loss", patience=patience)
    lower = keras.callbacks.ReduceLROnPlateau("val_loss", factor=0.5, patience=max(3, patience // 3), min_lr=1e-6)
    rates = []
    for callback in (stop, lower):
        callback.set_model(model)
        callback.on_train_begin()
    for epoch, loss in enumerate(losses):
        for callback in (stop, lower):
            callback.on_epoch_end(epoch, {"val_loss": loss})
        rates.append(float(np.asarray(model.optimizer.learning_rate)))
        if model.stop_training:
            break
    return len(rates), rates


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("patience", [2, 10, 15])
def test_it_ends_and_slows_down_where_keras_does(seed: int, patience: int) -> None:
    rng = np.random.default_rng(seed)
    losses = (1 / np.arange(1, 60) + 0.02 * rng.normal(size=59)).tolist()
    watch, rates = Patience(patience, 2e-3), []
    for epoch, loss in enumerate(losses, 1):
        watch.update(epoch, loss)
        rates.append(watch.rate)
        if watch.exhausted:
            break
    epochs, expected = _keras(losses, patience, 2e-3)
    assert len(rates) == epochs
    np.testing.assert_allclose(rates, expected, rtol=1e-6)


def test_a_rate_never_falls_below_the_floor() -> None:
    watch = Patience(9, 1.5e-6)
    for epoch in range(1, 50):
        watch.update(epoch, 1.0)
    assert watch.rate == 1e-6


def test_it_survives_a_checkpoint() -> None:
    watch = Patience(10, 1e-3)
    assert Patience.from_dict(watch.to_dict()) == watch
    watch.update(1, 0.5)
    assert Patience.from_dict(watch.to_dict()) == watch
