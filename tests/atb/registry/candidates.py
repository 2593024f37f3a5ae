"""Committed results with their bundles, as a job leaves them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from atb.contract import keys
from atb.contract.spec import resolve_spec
from atb.documents.evaluation import BacktestSummary, ChampionComparison, Evaluation, NotCompared
from atb.documents.evidence import TestRows
from atb.documents.export import ExportedFile, ExportSummary, Parity
from atb.documents.result import (
    BarsSummary,
    CodeIdentity,
    FeatureSummary,
    FileEntry,
    FitSummary,
    Result,
    SplitSummary,
    StageTime,
)
from atb.registry.gate import Shown
from atb.storage import Store

NOW = datetime(2026, 1, 31, 6, tzinfo=UTC)
HOUR_MS = 3_600_000
GOOD = {"rmse": 1.0, "skill": 0.2, "skill_low": 0.1, "mape": 1.0, "directional_accuracy": 0.6}
NOISE = {"rmse": 1.26, "skill": -0.01, "skill_low": -0.02, "mape": 1.0, "directional_accuracy": 0.5}


def make_result(
    run: str = "r1",
    symbol: str = "BTCUSDT",
    preset: str = "fast",
    *,
    metrics: dict[str, float] = GOOD,
    spread: float = 0.3,
    champion: ChampionComparison | NotCompared | None = None,
    drawdown: float = 0.1,
    hold_drawdown: float = 0.1,
    parity_error: float | None = 1e-7,
    files: tuple[FileEntry, ...] = (),
    options: Mapping[str, Any] = MappingProxyType({}),
) -> Result:
    spec = resolve_spec(symbol, preset, {"as_of": NOW, **options})
    return Result(
        run=run,
        job=keys.job_id(symbol, preset),
        attempt=1,
        spec=spec,
        spec_digest=spec.digest,
        code=CodeIdentity(version="0", digest="0" * 16),
        bars=BarsSummary(digest="0" * 64, rows=4_000, first=NOW, last=NOW, segments=1),
        features=FeatureSummary(name="classic", hash="0" * 16, columns=("close",)),
        split=SplitSummary(train=2_000, validation=400, test=400, purged=120),
        fit=FitSummary(
            device="CPU",
            path="keras",
            parameters=30_337,
            epochs=12,
            best_epoch=5,
            best_validation_loss=0.9,
            stopped_by="patience",
            steps_per_second=50.0,
        ),
        metrics=metrics,
        baselines={"persistence": NOISE | {"skill": 0.0}, "linear": NOISE},
        evaluation=Evaluation(spread=spread, champion=champion),
        backtest=BacktestSummary(model={"drawdown": drawdown}, hold={"drawdown": hold_drawdown}),
        export=make_export(parity_error),
        stages=(StageTime(name="fit", seconds=12.5),),
        peak_memory_bytes=10**9,
        started=NOW,
        finished=NOW,
        files=files,
    )


def make_export(parity_error: float | None) -> ExportSummary:
    """What was exported with this parity, or without a model from bars."""
    if parity_error is None:
        return ExportSummary(model=_verified(1e-7), from_bars=ExportedFile(skipped="why"))
    return ExportSummary(model=_verified(parity_error), from_bars=_verified(parity_error))


def _verified(error: float) -> ExportedFile:
    parity = Parity(windows=256, scaled=error, log_return=0.0, price=0.0, bound=1e-5, enough_windows=True)
    return ExportedFile(latency_ms=0.1, parity=parity)


SHOWN = Shown(log_e=10.0, bound=20.0, fdr=0.05, candidates=1, rows=400, models=1)
NOTHING = Shown(log_e=0.0, bound=20.0, fdr=0.05, candidates=1, rows=400, models=1)


def make_test_rows(last: datetime = NOW, knows: bool = True, rows: int = 400) -> TestRows:
    """Hourly rows that end a bar before ``last``: forecasts that are right three times of four, or every other time."""
    signs = [1 if row % 2 else -1 for row in range(rows)]
    right = [row // 2 % 4 != 0 if knows else row // 2 % 2 == 0 for row in range(rows)]
    end = int(last.timestamp() * 1000) - 2 * HOUR_MS
    return TestRows(
        bar="persistence",
        horizon=1,
        step_ms=HOUR_MS,
        spread=0.001,
        time=tuple(end - HOUR_MS * (rows - 1 - row) for row in range(rows)),
        forecast=tuple(0.001 * sign for sign in signs),
        outcome=tuple(0.01 * sign * (1 if hit else -1) for sign, hit in zip(signs, right, strict=True)),
        scale=(0.01,) * rows,
        linear=(0.0,) * rows,
    )


def commit(store: Store, run: str = "r1", symbol: str = "BTCUSDT", preset: str = "fast", **parts: Any) -> Result:
    """A result whose bundle lies in the store."""
    job = keys.job_id(symbol, preset)
    files = []
    parts = {"metrics": GOOD, **parts}
    rows = make_test_rows(parts.pop("last", NOW), parts["metrics"].get("skill", 0.0) > 0)
    bundle = {
        "model.onnx": f"net of {run}".encode() * 50,
        "card.md": f"# {run}\n".encode(),
        "evidence.json": rows.to_bytes(),
    }
    for path, data in bundle.items():
        key = keys.bundle(run, job, 1, path)
        store.put(key, data)
        files.append(FileEntry(path=path, key=key, size=len(data), sha256=hashlib.sha256(data).hexdigest()))
    result = make_result(run, symbol, preset, files=tuple(files), **parts)
    store.put(keys.result(run, job), result.to_bytes())
    return result


def measured(entry: str, candidate: dict[str, float] = GOOD, **champion: float) -> ChampionComparison:
    """What a job writes about the champion it was compared with."""
    return ChampionComparison(
        entry=entry, run="r0", job="BTCUSDT-fast", rows=400, candidate=candidate, champion={**GOOD, **champion}
    )
