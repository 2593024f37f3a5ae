from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from trainer.bundle.keras_file import save_keras


def _make_net() -> Any:
    """Two layers that share an initialiser, and two of their own."""
    import keras

    shared = keras.initializers.GlorotUniform(seed=1)
    inputs = keras.Input((4,), name="features")
    hidden = keras.layers.Dense(3, kernel_initializer=shared, name="one")(inputs)
    hidden = keras.layers.Dense(3, kernel_initializer=shared, name="two")(hidden)
    return keras.Model(inputs, keras.layers.Dense(1, kernel_initializer="ones", name="out")(hidden), name="net")


def test_the_same_net_is_saved_as_the_same_bytes_and_loads_as_it_was(tmp_path: Path) -> None:
    import keras

    nets = [_make_net(), _make_net()]  # both live, so that no object of one is where an object of the other was
    for number, net in enumerate(nets):
        (tmp_path / str(number)).mkdir()
        save_keras(net, tmp_path / str(number) / "model.keras")
    paths = [tmp_path / str(number) / "model.keras" for number in range(2)]
    assert len({hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}) == 1
    assert [path.name for path in (tmp_path / "0").iterdir()] == ["model.keras"]
    loaded = keras.models.load_model(paths[0])
    rows = np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32)
    np.testing.assert_array_equal(loaded(rows), nets[0](rows))
