"""Runs that nobody trained: their documents are made up with a seed, and read, weighed and collected by the product."""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from atb.clock import SystemClock
from atb.contract import bundle, keys
from atb.contract import timeframe as tf
from atb.documents.attempt import ExitReport, Verdict
from atb.documents.evaluation import BacktestSummary, Evaluation, TradingTerms
from atb.documents.evidence import TestRows
from atb.documents.export import ExportedFile, ExportSummary, Parity
from atb.documents.plan import PlannedJob
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
from atb.registry.champions import ModelKey, read_champion
from atb.registry.gate import check_candidate
from atb.registry.record import LiveRow, extend_record
from atb.registry.weigh import foresee
from atb.storage import Store
from launcher.plan.build import build_plan, commit_plan
from launcher.records.manifest import collect
from launcher.records.promotion import promote_run, weigh_record
from launcher.records.run_record import RunRecord
from launcher.report.page import write_report
from launcher.report.together import PanelRows, write_evidence

HOUR_MS = 3_600_000
TEST_ROWS = 400
FAILURES: tuple[tuple[str, int, str], ...] = (
    ("bad-data", 10, "{symbol} 1h: 3,911 of 4,320 bars (90.5%) and 99% are needed; 2 gaps up to 311 bars long"),
    ("oom", 137, "the kernel ended it for its memory on node gpu-pool-7f3a: peak 7.9 GiB of the 8Gi it may have"),
    ("data-not-ready", 11, "{symbol} 1h: the bar that closes at 2026-01-31T06:00Z is not there yet"),
    ("image", 0, "image pull failed: registry.example/atb-trainer:0.9.9: manifest unknown"),
)
"""Category, exit code (0: no attempt began) and reason."""


@dataclass(frozen=True)
class Shape:
    """How a made-up run turns out: the share of jobs that fail, and of models that know something."""

    failing: float = 0.1
    knowing: float = 0.2


class FixedClock(SystemClock):
    """A clock that stands still."""

    def __init__(self, at: datetime) -> None:
        self._at = at

    def now(self) -> float:
        return self._at.timestamp()


def make_run(store: Store, run: str, symbols: Sequence[str], now: datetime, seed: int, shape: Shape) -> None:
    """Plan a run, leave what its jobs would have left, and collect it as a launcher does."""
    options = {"as_of": now, "source": "sample"}
    plan = build_plan(run, symbols, ["balanced"], options, backend="kubernetes", now=now)
    commit_plan(plan, store)
    drawn = random.Random(seed)
    count = max(1, round(shape.failing * len(symbols))) if shape.failing else 0
    failing = {job.job: number for number, job in enumerate(drawn.sample(plan.jobs, count))}
    for planned in plan.jobs:
        own = random.Random(f"{seed} {planned.spec.symbol}")
        if planned.job in failing:
            fail(store, run, planned, now, failing[planned.job])
        else:
            knows = 0.12 if random.Random(planned.spec.symbol).random() < shape.knowing else 0.0
            finish(store, run, planned, now, own, knows)
    record = RunRecord.load(store, run)
    collect(store, record)
    rows = PanelRows(plan)
    weighed = weigh_record(store, record, 0.05, rows.add)
    write_evidence(store, run, weighed, rows)
    for _ in promote_run(store, record, weighed, clock=FixedClock(now)):
        pass
    write_report(store, record)


def fail(store: Store, run: str, planned: PlannedJob, now: datetime, number: int) -> None:
    """What a failed job leaves."""
    category, code, reason = FAILURES[number % len(FAILURES)]
    message = reason.format(symbol=planned.spec.symbol)
    if code:
        log = f"attempt 1 of {planned.job} in run {run}\nerror: {message}\n"
        store.put(keys.attempt(run, planned.job, 1, "log.txt"), log.encode())
    if code in (10, 11):
        report = ExitReport(
            attempt=1, code=code, category=category, message=message, stage="data loading", started=now,
            finished=now + timedelta(seconds=6),
        )  # fmt: skip
        store.put(keys.attempt(run, planned.job, 1, "exit.json"), report.to_bytes())
        return
    attempts = 1 if code else 0
    verdict = Verdict(
        job=planned.job, state="failed", category=category, reason=message, attempts=attempts, recorded=now
    )
    store.put(keys.verdict(run, planned.job), verdict.to_bytes())


def finish(store: Store, run: str, planned: PlannedJob, now: datetime, drawn: random.Random, knows: float) -> None:
    """What a job that has come to its end leaves; ``knows``: the correlation of its forecasts with the outcomes."""
    spec, job = planned.spec, planned.job
    known = ModelKey.of(spec)
    champion = read_champion(store, known)
    rows = draw_rows(now, drawn, knows)
    if champion is not None:
        since = tf.epoch_ms(champion[0].as_of)
        live = [
            LiveRow(*each)
            for each in zip(rows.time, rows.forecast, rows.outcome, rows.scale, strict=True)
            if each[0] >= since
        ]
        extend_record(store, champion[0], run, HOUR_MS, live, {"rsi_14": 0.02 + 0.1 * drawn.random()}, now=now)
    result = draw_result(run, planned, now, drawn, rows)
    files = tuple(
        _put(store, keys.bundle(run, job, 1, path), path, data)
        for path, data in draw_files(result, rows, drawn).items()
    )
    store.put(keys.attempt(run, job, 1, "log.txt"), f"attempt 1 of {job} in run {run}\n".encode())
    result = result.model_copy(update={"files": files})
    gate = check_candidate(result, champion[0] if champion else None, foresee(store, result, rows))
    store.put(keys.result(run, job), result.model_copy(update={"gate": gate}).to_bytes())


def draw_rows(now: datetime, drawn: random.Random, knows: float) -> TestRows:
    """Hourly forecasts and outcomes of returns."""
    end = tf.epoch_ms(now) - 2 * HOUR_MS
    signals = [drawn.gauss(0, 1) for _ in range(TEST_ROWS)]
    outcomes = [0.006 * (knows * 2.2 * each + drawn.gauss(0, 1)) for each in signals]
    size = 0.006 * (knows * 2.2 if knows else 0.05)
    return TestRows(
        bar="persistence", horizon=1, step_ms=HOUR_MS, spread=size,
        time=tuple(end - HOUR_MS * (TEST_ROWS - 1 - row) for row in range(TEST_ROWS)),
        forecast=tuple(size * each for each in signals),
        outcome=tuple(outcomes), scale=(0.006,) * TEST_ROWS, linear=(0.0,) * TEST_ROWS,
    )  # fmt: skip


def draw_result(run: str, planned: PlannedJob, now: datetime, drawn: random.Random, rows: TestRows) -> Result:
    """A result whose skill is that of its rows."""
    spec = planned.spec
    error, bar = (
        math.sqrt(
            sum((outcome - by * forecast) ** 2 for forecast, outcome in zip(rows.forecast, rows.outcome, strict=True))
        )
        for by in (1, 0)
    )
    skill = 1 - error / bar
    right = sum(f * o > 0 for f, o in zip(rows.forecast, rows.outcome, strict=True)) / TEST_ROWS
    metrics = {
        "rmse": 1.26 * (1 - skill), "skill": skill, "skill_low": skill - 0.012 - 0.006 * drawn.random(),
        "directional_accuracy": right, "commoner_direction": 0.514, "mape": 0.41, "r2": 0.97,
    }  # fmt: skip
    baselines = {
        "persistence": {"rmse": 1.26, "skill": 0.0},
        "linear": {"rmse": 1.26 * (1 - 0.4 * skill), "skill": 0.4 * skill},
        "trees": {"rmse": 1.26 * (1.01 - 0.7 * skill), "skill": 0.7 * skill - 0.01},
    }
    epochs, fit = drawn.randint(9, 40), 4 + 8 * drawn.random()
    stages = {"data loading": 0.9, "features": 0.1, "dataset": 0.2, "training": fit, "evaluation": 0.8, "saving": 1.6}
    total = sum(stages.values()) + 2
    exported = ExportedFile(latency_ms=0.2, parity=Parity(windows=256, scaled=2e-7, bound=1e-5, enough_windows=True))
    return Result(
        run=run, job=planned.job, attempt=1, spec=spec, spec_digest=spec.digest,
        code=CodeIdentity(version="0", digest="0" * 16),
        bars=BarsSummary(
            digest="0" * 64, rows=4_318, first=spec.start, last=now, segments=2, synthetic=True,
            report={"received": 4_321, "expected": 4_320, "kept": 4_318, "missing": 2, "gaps": 1, "duplicate": 3},
        ),
        features=FeatureSummary(name="classic", hash="0" * 16, columns=("close", "rsi_14")),
        split=SplitSummary(train=2_900, validation=560, test=TEST_ROWS, purged=2 * spec.sequence_length,
                           test_from=now - timedelta(hours=TEST_ROWS)),
        fit=FitSummary(device="CPU", path="xla", parameters=30_337, epochs=epochs, best_epoch=max(1, epochs - 6),
                       best_validation_loss=0.98, stopped_by="patience", steps_per_second=210.0),
        metrics=metrics, baselines=baselines, evaluation=Evaluation(rows=TEST_ROWS, spread=0.2),
        backtest=_trade(rows), export=ExportSummary(model=exported, from_bars=exported),
        stages=(*(StageTime(name=name, seconds=each) for name, each in stages.items()),
                StageTime(name="total", seconds=total)),
        peak_memory_bytes=int((0.9 + 0.3 * drawn.random()) * 2**30),
        started=now, finished=now + timedelta(seconds=total), files=(),
    )  # fmt: skip


def draw_files(result: Result, rows: TestRows, drawn: random.Random) -> Mapping[str, bytes]:
    """The bundle's files; those that no page reads hold a word each."""
    losses = [1.02 * math.exp(-0.012 * epoch) + 0.01 * drawn.random() for epoch in range(result.fit.epochs)]
    history = {"val_loss": losses, "loss": [each - 0.01 * math.sqrt(n) for n, each in enumerate(losses)]}
    closes, close = [], 100.0 * math.exp(drawn.gauss(0, 2))
    for outcome in rows.outcome[-96:]:
        close *= math.exp(outcome)
        closes.append(close)
    before = [close / math.exp(outcome) for close, outcome in zip(closes, rows.outcome[-96:], strict=True)]
    forecasts = [close * math.exp(forecast) for close, forecast in zip(before, rows.forecast[-96:], strict=True)]
    shown = {
        "target": "return", "level": 0.8, "time": [each + 2 * HOUR_MS for each in rows.time[-96:]], "close": closes,
        "actual": closes, "forecast": forecasts, "lower": [each * 0.9923 for each in before],
        "upper": [each * 1.0077 for each in before],
    }  # fmt: skip
    named = (bundle.MODEL, bundle.MODEL_FROM_BARS, bundle.METRICS, bundle.FORECASTS)
    plots = (f"{bundle.PLOTS}{name}.png" for name in ("forecast", "equity", "loss", "errors"))
    return {
        bundle.CARD: f"# {result.job}\n".encode(),
        bundle.HISTORY: json.dumps(history).encode(),
        bundle.SHOWN: json.dumps(shown).encode(),
        bundle.EVIDENCE: rows.to_bytes(),
        **dict.fromkeys((*named, *plots), b"made up"),
    }


def _trade(rows: TestRows) -> BacktestSummary:
    model, hold = [1.0], [1.0]
    for forecast, outcome in zip(rows.forecast, rows.outcome, strict=True):
        side = math.copysign(1, forecast) if abs(forecast) > 0.0012 else 0
        model.append(model[-1] * (1 + side * outcome - 0.0003 * abs(side)))
        hold.append(hold[-1] * (1 + outcome))

    def measure(equity: list[float]) -> dict[str, float]:
        highs = [max(equity[: n + 1]) for n in range(len(equity))]
        drawdown = max(1 - each / high for each, high in zip(equity, highs, strict=True))
        return {"return": equity[-1] - 1, "drawdown": drawdown, "sharpe": 1.2, "trades": 88.0, "exposure": 0.6}

    terms = TradingTerms(fee_bps=10, slippage_bps=2, threshold_bps=12, short=True)
    curves = {"model": tuple(model[::8]), "hold": tuple(hold[::8])}
    return BacktestSummary(rules=terms, model=measure(model), hold=measure(hold), curves=curves)


def _put(store: Store, key: str, path: str, data: bytes) -> FileEntry:
    store.put(key, data)
    return FileEntry(path=path, key=key, size=len(data), sha256=hashlib.sha256(data).hexdigest())


def symbols(count: int) -> list[str]:
    """Names of markets: a few that everybody knows, and made-up ones."""
    known = ["BTCUSDT", "ETHUSDT", "SOLUSDT", "1000PEPEUSDT", "XRPUSDT", "DOGEUSDT", "ADAUSDT", "LINKUSDT"]
    more = [f"{chr(65 + n // 26 % 26)}{chr(65 + n % 26)}{'XQZ'[n % 3]}USDT" for n in range(count)]
    return list(dict.fromkeys([*known, *more]))[:count]
