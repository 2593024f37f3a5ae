"""Export of a trained net: write the ONNX files, compare them with the net, report the outcome."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from atb.contract import bundle
from atb.documents.export import ExportedFile, ExportSummary
from atb.errors import ExportError
from atb.schema import readable_json
from trainer.bars.frame import COLUMNS, VOLUME, Bars, Times
from trainer.export import parity, quantise
from trainer.export.graph import IR_VERSION, OPSET
from trainer.export.latency import measure_latency
from trainer.export.models import Trained, bars_model, features_model
from trainer.export.parity import Predict, Reference
from trainer.export.schema import describe_features, describe_scaling
from trainer.features.sets import Features, compute_features
from trainer.features.windows import gather_windows
from trainer.forecast import open_session


@dataclass(frozen=True)
class _Tried:
    """A model that was built and run. ``file`` goes to the result; ``skipped`` in it says why it is not kept."""

    model: onnx.ModelProto
    session: onnxruntime.InferenceSession
    outputs: parity.Outputs
    file: ExportedFile


def export_model(
    trained: Trained, predict: Predict, *, flat: Features, bars: Bars, ends: Times, test_ends: Times, directory: Path
) -> ExportSummary:
    """Write the ONNX files with scaler.json and feature_schema.json to ``directory``; returns Result.export.

    ``predict`` is the trained net in float32: scaled windows ``[n, L, F]`` → scaled returns ``[n]``. ``flat`` holds
    the raw features ``[n, F]`` of ``bars``, ``ends`` the last rows of the windows to compare on, ``test_ends`` those of
    the test part, on which 8 bits are judged. Nothing is written before everything has been compared. Raises
    ExportError where a model is not the trained net.
    """
    if not len(ends):
        raise ExportError("there is no window on which the exported model could be compared with the trained net")
    steps, chosen = trained.spec.sequence_length, parity.choose_ends(ends)
    reference = parity.ask_reference(trained, predict, gather_windows(flat, chosen, steps), bars, chosen)
    plain = _try_features(trained, reference)
    models = {bundle.MODEL: plain.model}
    from_bars = ExportedFile(skipped=f"no window has the {trained.bar_rows} bars before its end without a gap")
    with_history = parity.choose_ends(parity.windows_with_history(trained, bars, ends))
    if len(with_history):
        tried = _try_bars(trained, predict, flat, bars, with_history, reference)
        models[bundle.MODEL_FROM_BARS], from_bars = tried.model, tried.file
    small = _try_int8(plain, trained, bars, parity.choose_ends(test_ends))
    if small.file.skipped is None:
        models[bundle.MODEL_INT8] = small.model
    directory.mkdir(parents=True, exist_ok=True)
    for name, model in models.items():
        _write(directory / name, model.SerializeToString(deterministic=True))
    _write(directory / bundle.SCALER, readable_json(describe_scaling(trained)))
    _write(directory / bundle.FEATURE_SCHEMA, readable_json(describe_features(trained, models)))
    return ExportSummary(
        opset=OPSET,
        ir_version=IR_VERSION,
        onnx=onnx.__version__,
        model=plain.file,
        from_bars=from_bars,
        int8=small.file,
    )


def _try_features(trained: Trained, reference: Reference) -> _Tried:
    model = features_model(trained)
    session = open_session(model.SerializeToString())
    outputs = parity.run_features(session, reference.windows, reference.last_close)
    found = parity.validate_parity(bundle.MODEL, trained, outputs, reference)
    return _Tried(model, session, outputs, ExportedFile(latency_ms=measure_latency(session), parity=found))


def _try_bars(
    trained: Trained, predict: Predict, flat: Features, bars: Bars, ends: Times, reference: Reference
) -> _Tried:
    """Held to the bound against features of the same rows; what lies before them may weigh in a market that stood
    still for as long, so the difference to features of the whole history is recorded beside it."""
    model = bars_model(trained)
    same_rows = parity.features_of_stretches(trained, bars, ends)
    exact = parity.ask_reference(trained, predict, same_rows, bars, ends)
    session = open_session(model.SerializeToString())
    outputs = parity.run_bars(session, trained, bars, ends)
    found = parity.validate_parity(bundle.MODEL_FROM_BARS, trained, outputs, exact)
    if not np.array_equal(ends, reference.ends):
        all_rows = gather_windows(flat, ends, trained.spec.sequence_length)
        reference = parity.ask_reference(trained, predict, all_rows, bars, ends)
    forgotten = float(np.abs(outputs[bundle.SCALED].reshape(-1) - reference.scaled).max())
    return _Tried(
        model,
        session,
        outputs,
        ExportedFile(
            rows=trained.bar_rows,
            latency_ms=measure_latency(session),
            parity=found.model_copy(update={"whole_history": forgotten}),
        ),
    )


def _try_int8(plain: _Tried, trained: Trained, bars: Bars, ends: Times) -> _Tried:
    """Judged on windows that the net was not fitted on, also at other prices, one at a time: how 8 bits round
    activations follows from all windows of a call. Its error is that at the worst of the prices."""
    model = quantise.quantise(plain.model)
    session = open_session(model.SerializeToString())
    shares: list[float | None] = []
    for level in quantise.LEVELS if trained.features.has_price_level else (1.0,):
        priced = replace(bars, values=bars.values * np.where(np.arange(len(COLUMNS)) == VOLUME, 1.0, level))
        windows = gather_windows(compute_features(trained.features, priced), ends, trained.spec.sequence_length)
        outputs = parity.run_one_by_one(session, windows, priced.close[ends])
        exact = parity.run_features(plain.session, windows, priced.close[ends])
        shares.append(quantise.error_share(exact[bundle.SCALED], outputs[bundle.SCALED]))
    share = None if None in shares else float(np.max(np.array(shares, float)))
    skipped = None
    if share is None:
        skipped = "the forecasts are constant, so that no error is small beside their spread"
    elif not share <= quantise.BOUND:
        skipped = f"its error is {share:.1%} of the forecasts' spread, the bound is {quantise.BOUND:.0%}"
    known = share if share is not None and math.isfinite(share) else None
    file = ExportedFile(latency_ms=measure_latency(session), error_share=known, bound=quantise.BOUND, skipped=skipped)
    return _Tried(model, session, outputs, file)


def _write(path: Path, data: bytes) -> None:
    """The file is there whole or not at all."""
    beside = path.with_name(f".{path.name}.part")
    beside.write_bytes(data)
    os.replace(beside, path)
