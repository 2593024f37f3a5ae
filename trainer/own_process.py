"""A process that does nothing but train: the only place where other libraries are configured.

Importing our modules changes nothing of theirs. ``atb train``, the fork server and ``atb doctor`` import what they need
within ``own_imports``, and are nobody else's process.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager

from trainer.log import capture_stderr
from trainer.process_memory import gc_frozen

log = logging.getLogger(__name__)

_OPTIONAL = ("pandas", "scipy", "sklearn")
"""Keras wraps scikit-learn and draws by matplotlib, TA-Lib takes pandas' columns: each loads them where they are there.
``benchmarks/start.py --imports`` prints what that costs."""
_COMPUTES_OTHERWISE = (
    "TF_ENABLE_ONEDNN_OPTS", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "ONEDNN_CPU_ISA_HINTS", "DNNL_CPU_ISA_HINTS",
    "ONEDNN_DEFAULT_FPMATH_MODE", "DNNL_DEFAULT_FPMATH_MODE", "NVIDIA_TF32_OVERRIDE", "OPENBLAS_CORETYPE",
    "TF_FUNCTION_JIT_COMPILE_DEFAULT", "TF_SET_ONEDNN_FPMATH_MODE", "TF_USE_DEEP_CONV2D", "TF_ENABLE_ZENDNN_OPTS",
    "TF_CONV2D_USE_FP16_ACCUMULATE",
)  # fmt: skip
"""Environment variables by which TensorFlow or NumPy adds up and rounds in another way."""
_THREADS = ("OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")
"""Variables that libraries of linear algebra read before ``OMP_NUM_THREADS``. HAR's weights are one of their sums."""
_HARMLESS = {
    "TF_XLA_FLAGS": ("--tf_xla_persistent_cache",),
    "XLA_FLAGS": ("--xla_cpu_use_fusion_emitters", "--xla_gpu_cuda_data_dir", "--xla_dump"),
}
"""Variables that hold flags, and the beginnings of those that change no number, or that we set ourselves."""


@contextmanager
def own_imports() -> Iterator[None]:
    """Import within what a training needs: nothing else that is optional is loaded, native libraries are silent unless
    loading fails, and Keras is as every model is made with, whatever the user's ``keras.json`` says."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    pin_environment(os.environ)
    with capture_stderr(), gc_frozen():
        with _absent("matplotlib", *_OPTIONAL):
            import keras
        with _absent(*_OPTIONAL):
            yield
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")


def pin_environment(environment: MutableMapping[str, str]) -> None:
    """Remove what makes TensorFlow or NumPy compute otherwise, and log it: the same spec, bars and code give the same
    model wherever they are trained, a Pod or a shell with settings of its own. To be called before NumPy is loaded."""
    removed = [name for name in _COMPUTES_OTHERWISE if environment.pop(name, None) is not None]
    removed += [name for name in _THREADS if environment.pop(name, "1") != "1"]
    environment["OMP_NUM_THREADS"] = "1"
    for name, known in _HARMLESS.items():
        flags = environment.get(name, "").split()
        kept = [flag for flag in flags if flag.startswith(known)]
        if len(kept) < len(flags):
            removed.append(name)
            environment[name] = " ".join(kept)
    if removed:
        log.warning("ignored, as it would change the model: %s", ", ".join(removed))


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
