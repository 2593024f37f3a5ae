"""The same spec, code and bars give the same model, on every way to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from atb.contract import bundle, keys
from atb.documents.result import Result
from atb.storage import DirectoryStore
from tests.processes import Atb
from tests.trainer.pipeline.market import tiny_spec, train, walk_close, write_bars


@pytest.mark.parametrize(
    ("options", "way"),
    [({"epochs": 1}, "keras"), ({"epochs": 8, "batch_size": 16, "patience": 1}, "xla")],
    ids=["uncompiled", "compiled"],
)
def test_threads_cores_and_settings_that_happen_to_be_there_do_not_change_the_model(
    options: dict[str, Any], way: str, tmp_path: Path, atb: Atb
) -> None:
    write_bars(tmp_path / "bars", "WALK", walk_close(1))
    spec, store = tiny_spec(tmp_path / "bars", "WALK", **options), DirectoryStore(tmp_path / "store")
    arguments = ["train", "job", spec.model_dump_json(), "--run", "r4", "--store", store.url]
    settings = {
        "TF_ENABLE_ONEDNN_OPTS": "0",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "TF_XLA_FLAGS": "--tf_xla_auto_jit=2 --tf_xla_cpu_global_jit",
        "XLA_FLAGS": "--no_such_flag",
        "TZ": "Asia/Kathmandu",
    }
    done = atb(*arguments, "--threads", "4", "--accelerator", "cpu", environment=settings)
    assert done.code == 0, done.output
    assert (
        "ignored, as it would change the model: TF_ENABLE_ONEDNN_OPTS, ONEDNN_MAX_CPU_ISA, TF_XLA_FLAGS, XLA_FLAGS"
        in (done.output)
    )
    assert f"steps/s by {way}" in done.output
    key = keys.result("r4", keys.job_id(spec.symbol, spec.preset))
    results = [train(store, "here", spec), Result.from_bytes(store.get(key), key)]  # here on one thread
    for path in (bundle.MODEL, bundle.MODEL_KERAS, bundle.FORECASTS, bundle.METRICS):
        assert len({next(file.sha256 for file in result.files if file.path == path) for result in results}) == 1, path
    assert len({str(result.metrics) + str(result.baselines) for result in results}) == 1
