"""A process that does nothing but train: the only place where other libraries are configured.

Importing our modules changes nothing of theirs. ``atb train``, the fork server and ``atb doctor`` import what they need
within ``own_imports``, and are nobody else's process.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from trainer.log import capture_stderr
from trainer.process_memory import gc_frozen

_OPTIONAL = ("pandas", "scipy", "sklearn")
"""Keras wraps scikit-learn and draws by matplotlib, TA-Lib takes pandas' columns: each loads them where they are there.
``benchmarks/start.py --imports`` prints what that costs."""


@contextmanager
def own_imports() -> Iterator[None]:
    """Import within what a training needs: nothing else that is optional is loaded, native libraries are silent unless
    loading fails, and Keras is as every model is made with, whatever the user's ``keras.json`` says."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    with capture_stderr(), gc_frozen():
        with _absent("matplotlib", *_OPTIONAL):
            import keras
        with _absent(*_OPTIONAL):
            yield
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")


@contextmanager
def _absent(*packages: str) -> Iterator[None]:
    """Within, these packages can't be found; those that are loaded already can."""
    names = [name for name in packages if name not in sys.modules]
    for name in names:
        sys.modules[name] = None  # type: ignore[assignment]  # what the import system reads as absent
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]
