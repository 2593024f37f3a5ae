from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from atb.comparison import quality_table, stage_table
from atb.documents.comparison import Comparison
from atb.documents.result import Result
from atb.errors import SpecError
from atb.storage import MemoryStore, Store
from tests.trainer.pipeline.market import sine_close, tiny_spec, train, write_bars
from trainer.pipeline.compare import compare_presets


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, list[Result]]:
    folder: Path = tmp_path_factory.mktemp("market")
    write_bars(folder, "WAVE", sine_close())
    store = MemoryStore()
    specs = [tiny_spec(folder, "WAVE", "fast", epochs=1), tiny_spec(folder, "WAVE", "legacy", sequence_length=24)]
    return store, [train(store, "c", spec) for spec in specs]


def test_presets_are_judged_on_the_rows_they_share(trained: tuple[Store, list[Result]]) -> None:
    store, results = trained
    found = compare_presets(store, "c", results)
    assert found == Comparison.from_bytes(found.to_bytes(), "comparison")
    assert found.presets == ("fast", "legacy")
    assert found.rows == {"WAVE": min(result.split.test for result in results)}
    legacy = found.trained[1]
    assert legacy.metrics["rmse"] == pytest.approx(results[1].metrics["rmse"], rel=1e-4)
    assert legacy.validation_loss == pytest.approx(results[1].fit.best_validation_loss, rel=1e-3)
    assert found.trained[0].baselines == legacy.baselines
    assert "speed-up over legacy" in [row[0] for row in stage_table(found)]
    assert quality_table(found)[4][0] == "within 5%"


def test_presets_with_another_seed_are_not_compared(trained: tuple[Store, list[Result]]) -> None:
    store, results = trained
    other = results[1].model_copy(update={"spec": results[1].spec.model_copy(update={"seed": 1})})
    with pytest.raises(SpecError, match="fast has seed 42 and legacy has 1"):
        compare_presets(store, "c", [results[0], other])


def test_judging_committed_models_loads_no_tensorflow() -> None:
    code = "import sys, trainer.pipeline.champion, trainer.pipeline.compare; print('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
