"""Nets with 8-bit weights: what is quantised, and when it is kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from atb.contract import bundle
from atb.contract.presets import ModelType
from tests.trainer.export.test_export import export, file_of
from tests.trainer.export.trained import make_bars, make_fitted
from trainer.export.models import features_model
from trainer.export.quantise import BOUND, error_share, quantise
from trainer.features.sets import compute_features
from trainer.features.windows import gather_windows
from trainer.forecast import open_session


@pytest.mark.parametrize(("model_type", "lstms"), [("fast", 0), ("quality", 2)])
def test_lstm_and_dense_layers_are_quantised_and_convolutions_are_not(model_type: ModelType, lstms: int) -> None:
    model = features_model(make_fitted(model_type, "classic", make_bars(400, 1.0)).trained)
    used = [node.op_type for node in quantise(model).graph.node]
    assert used.count("DynamicQuantizeLSTM") == lstms
    assert used.count("MatMulInteger") >= 2
    assert "ConvInteger" not in used
    assert used.count("Conv") == [node.op_type for node in model.graph.node].count("Conv")


def test_weights_of_8_bits_make_a_smaller_file_that_is_recorded_with_its_own_error(tmp_path: Path) -> None:
    file = file_of(export(make_fitted("adaptive", "relative", make_bars(600, 1.0)), tmp_path), bundle.MODEL_INT8)
    assert file.error_share is not None
    assert file.bound is not None
    assert file.latency_ms is not None
    assert 0 < file.error_share <= file.bound
    assert file.latency_ms > 0
    sizes = [(tmp_path / file).stat().st_size for file in (bundle.MODEL_INT8, bundle.MODEL)]
    assert sizes[0] < 0.6 * sizes[1]
    assert onnx.load(tmp_path / bundle.MODEL_INT8).metadata_props == onnx.load(tmp_path / bundle.MODEL).metadata_props


def test_a_net_whose_forecasts_hardly_move_is_not_shipped_in_8_bits(tmp_path: Path) -> None:
    def add_a_large_constant(model: Any) -> None:
        kernel, bias = model.get_layer("dense_1").get_weights()
        model.get_layer("dense_1").set_weights([kernel, bias + 10])

    summary = export(make_fitted("adaptive", "classic", make_bars(600, 1.0), edit=add_a_large_constant), tmp_path)
    assert "of the forecasts' spread, the bound is 5%" in (file_of(summary, bundle.MODEL_INT8).skipped or "")
    assert not (tmp_path / bundle.MODEL_INT8).exists()


def test_a_net_whose_forecasts_are_constant_is_not_shipped_in_8_bits(tmp_path: Path) -> None:
    def forget_everything(model: Any) -> None:
        model.get_layer("scaled").set_weights([np.zeros((50, 1)), np.ones(1)])

    summary = export(make_fitted("adaptive", "classic", make_bars(600, 1.0), edit=forget_everything), tmp_path)
    assert "constant" in (file_of(summary, bundle.MODEL_INT8).skipped or "")


def test_the_error_is_measured_against_the_spread_of_the_forecasts() -> None:
    exact = np.array([[-1.0], [1.0]], np.float32)
    assert error_share(exact, exact + np.float32(0.1)) == pytest.approx(0.1)
    assert error_share(np.ones((4, 1), np.float32), np.ones((4, 1), np.float32)) is None


@pytest.mark.parametrize(("model_type", "named"), [("fast", "relative"), ("quality", "classic")])
def test_the_recorded_error_is_of_test_windows_run_one_by_one_at_the_worst_of_three_prices(
    model_type: ModelType, named: str, tmp_path: Path
) -> None:
    fitted = make_fitted(model_type, named, make_bars(600, 1.0))
    file = file_of(export(fitted, tmp_path), bundle.MODEL_INT8)
    exact = features_model(fitted.trained)
    sessions = [open_session(model.SerializeToString()) for model in (exact, quantise(exact))]
    test_ends = fitted.ends[-len(fitted.ends) // 5 :]
    shares = []
    for level in (0.8, 1.0, 1.25) if named == "classic" else (1.0,):
        bars = replace(fitted.bars, values=fitted.bars.values * [level, level, level, level, 1])
        flat = compute_features(fitted.trained.features, bars)
        windows = gather_windows(flat, test_ends, fitted.trained.spec.sequence_length)
        answers = []
        for session in sessions:
            names = {value.name for value in session.get_inputs()}
            feeds: list[dict[str, Any]] = [
                {bundle.FEATURES: windows[[row]], bundle.LAST_CLOSE: bars.close[[end]].astype(np.float32)}
                for row, end in enumerate(test_ends)
            ]
            chosen = [{name: feed[name] for name in names} for feed in feeds]
            answers.append([session.run([bundle.SCALED], feed)[0].item() for feed in chosen])
        plain, small = np.array(answers)
        shares.append(np.sqrt(np.mean((small - plain) ** 2)) / plain.std())
    assert file.error_share == pytest.approx(max(shares), rel=1e-3)
    assert (file.skipped is None) == (max(shares) <= BOUND)
    assert (tmp_path / bundle.MODEL_INT8).exists() == (file.skipped is None)
    if named == "classic":
        assert shares[1] < min(shares[0], shares[2]) / 2  # so it matters
