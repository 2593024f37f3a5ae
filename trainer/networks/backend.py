"""Keras as every part of this package uses it: import it from here.

What a user's ``keras.json`` says would else change the nets: the same spec gives the same model wherever it is trained.
"""

import os

from trainer.extras import hidden

os.environ["KERAS_BACKEND"] = "tensorflow"

with hidden("matplotlib", "pandas", "scipy", "sklearn"):
    import keras

keras.config.set_floatx("float32")
keras.config.set_epsilon(1e-7)
keras.config.set_image_data_format("channels_last")

__all__ = ["keras"]
