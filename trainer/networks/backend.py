"""Keras as every part of this package uses it: import it from here.

The same spec gives the same model wherever it is trained, so the nets are built only where Keras is set as
``trainer.own_process`` sets it.
"""

from __future__ import annotations

import keras

from atb.errors import SpecError

__all__ = ["keras", "validate_settings"]


def validate_settings() -> None:
    """Raises SpecError where a ``keras.json`` or another library has set Keras otherwise in this process."""
    found = (keras.backend.backend(), keras.config.floatx(), keras.config.epsilon(), keras.config.image_data_format())
    wanted = ("tensorflow", "float32", 1e-7, "channels_last")
    if found != wanted:
        raise SpecError(
            f"Keras is set to {', '.join(map(str, found))} in this process, nets need {', '.join(map(str, wanted))}; "
            "train by atb.train or atb train, which have a process of their own"
        )
