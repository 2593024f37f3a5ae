"""Importing our code changes no other library; a process of our own leaves out what it does not need."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from trainer.own_process import pin_environment

ROOT = Path(__file__).parents[2]
EVERYTHING = """
import importlib, os, pkgutil, signal, sys
import keras, matplotlib
before = dict(os.environ)
settings = lambda: (keras.config.floatx(), keras.config.epsilon(), keras.config.image_data_format())
keras.config.set_epsilon(1e-3)
kept = settings(), matplotlib.rcParams["backend"], signal.getsignal(signal.SIGTERM)
import atb, trainer, launcher
for package in (atb, trainer, launcher):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
assert kept == (settings(), matplotlib.rcParams["backend"], signal.getsignal(signal.SIGTERM))
added = {name for name in os.environ if os.environ[name] != before.get(name)}
print(sorted(name for name in added if not name.startswith(("TF_", "TF2_", "KMP_"))))
import numpy as np, pandas as pd, talib
print(type(talib.SMA(pd.Series(np.arange(50.0)), 5)).__name__)
from keras.wrappers import SKLearnRegressor
print(SKLearnRegressor.__name__, SKLearnRegressor(lambda X, y: None) is not None)
"""


def test_after_everything_of_ours_is_imported_other_libraries_work_as_before() -> None:
    done = subprocess.run([sys.executable, "-c", EVERYTHING], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.splitlines() == ["[]", "Series", "SKLearnRegressor True"], done.stderr


def test_what_is_optional_is_out_of_sight_only_while_a_process_of_ours_imports() -> None:
    code = """
import sys
from trainer.own_process import own_imports
with own_imports():
    import trainer.fit.device, trainer.pipeline.job
    try:
        import scipy
    except ModuleNotFoundError:
        print("out of sight")
print(sorted({"pandas", "scipy", "sklearn"} & set(sys.modules)))
import scipy
print(scipy.__name__)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.splitlines() == ["out of sight", "[]", "scipy"], done.stderr


def test_settings_by_which_tensorflow_computes_otherwise_are_removed_and_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ours = {
        "TF_XLA_FLAGS": "--tf_xla_persistent_cache_directory=/x",
        "XLA_FLAGS": "--xla_gpu_cuda_data_dir=/y",
        "A": "b",
        "OMP_NUM_THREADS": "1",
    }
    environment = {**ours, "OMP_NUM_THREADS": "4", "OPENBLAS_NUM_THREADS": "1"}
    pin_environment(environment)
    assert (environment, caplog.text) == (ours, "")
    environment["TF_XLA_FLAGS"] += " --tf_xla_auto_jit=2"
    environment["XLA_FLAGS"] = f"--xla_cpu_enable_fast_math=true {environment['XLA_FLAGS']}"
    environment["ONEDNN_DEFAULT_FPMATH_MODE"] = "BF16"
    environment["OPENBLAS_NUM_THREADS"] = "4"
    environment["TF_FUNCTION_JIT_COMPILE_DEFAULT"] = "1"
    pin_environment(environment)
    assert environment == ours
    removed = "ONEDNN_DEFAULT_FPMATH_MODE, TF_FUNCTION_JIT_COMPILE_DEFAULT, OPENBLAS_NUM_THREADS, TF_XLA_FLAGS, XLA"
    assert f"would change the model: {removed}" in caplog.text


def test_weights_fitted_by_linear_algebra_are_the_same_whatever_a_shell_says_of_threads_and_cores() -> None:
    code = """
import hashlib, os
from trainer.own_process import pin_environment
pin_environment(os.environ)
import numpy as np
from trainer.features.har import INPUTS, Har
rng = np.random.default_rng(0)
inputs = rng.normal(size=(26_000, 2 * len(INPUTS)))
fitted = Har.fit(inputs, inputs.sum(axis=1) + rng.normal(size=26_000))
print(hashlib.sha256(fitted.weights.tobytes()).hexdigest())
"""

    def fit(**settings: str) -> str:
        environment = {**os.environ, **settings}
        return subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=environment, check=True
        ).stdout

    usual = fit()
    for settings in ({"OPENBLAS_NUM_THREADS": "4"}, {"GOTO_NUM_THREADS": "2"}, {"OPENBLAS_CORETYPE": "Prescott"}):
        assert fit(**settings) == usual, settings
