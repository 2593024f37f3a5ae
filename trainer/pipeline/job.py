"""One job's life, from a spec to a committed result. Read ``_work`` top to bottom; ``run_job`` keeps the books."""

from __future__ import annotations

import hashlib
import logging
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from trainer.bars.source import Source
from trainer.bundle.card import write_card
from trainer.bundle.plots import draw_plots
from trainer.contract import bundle, keys
from trainer.contract import timeframe as tf
from trainer.contract.code import code_identity
from trainer.contract.documents import readable_json
from trainer.contract.manifest import (
    FeatureSummary,
    FileEntry,
    FitSummary,
    Progress,
    Result,
    ResultPointer,
    SplitSummary,
)
from trainer.contract.spec import Spec
from trainer.errors import AtbError, NotFound, PreconditionFailed, SpecError
from trainer.evaluate.folds import summarise_folds
from trainer.evaluate.judge import JudgedRows, Judgement, judge_forecast
from trainer.evaluate.metrics import price_metrics
from trainer.export import Trained, export_model, read_weights
from trainer.export.schema import describe_features, describe_scaling
from trainer.features.folds import walk_forward
from trainer.features.sets import feature_hash
from trainer.fit.device import Device
from trainer.fit.loop import Epoch, Hooks
from trainer.log import LogTail
from trainer.networks.reference import reference_predict
from trainer.pipeline.attempt import Attempt, peak_memory
from trainer.pipeline.champion import measure_champion, trading_rules
from trainer.pipeline.learn import Learned, Material, learn, load_material, load_warm_start, split_material
from trainer.pipeline.stages import StageClock, format_stages
from trainer.registry.champions import Seat, read_champion
from trainer.registry.gate import judge_candidate
from trainer.storage import Store

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Surroundings:
    """What a job meets beside its spec: where it runs, who may stop it, where its log goes, a source for tests."""

    device: Device
    should_stop: Callable[[], bool] = lambda: False
    log_tail: LogTail | None = None
    source: Source | None = None


def run_job(spec: Spec, store: Store, run: str, around: Surroundings) -> Result:
    """Train, verify, commit; returns the committed result, also where another attempt had committed it before.

    Raises the classes of ``trainer.errors``; whatever happens, the attempt leaves its exit report and log tail.
    """
    job = keys.job_id(spec.symbol, spec.preset)
    committed = _committed(store, run, job, spec)
    if committed is not None:
        log.info("nothing to do: attempt %d has committed %s", committed.attempt, keys.result(run, job))
        return committed
    attempt, clock = Attempt(store, run, job), StageClock()
    code, message = 70, "a bug"
    try:
        result = _work(spec, store, run, around, attempt, clock)
        code, message = 0, "done"
        return result
    except AtbError as error:
        code, message = error.exit_code, str(error)
        raise
    except BaseException as error:
        message = f"{type(error).__name__}: {error}"
        log.exception("this is a bug of ours")
        raise
    finally:
        if code not in (0, 70):
            log.error("%s", message)
        attempt.end(code, message, clock.current, around.log_tail.to_bytes() if around.log_tail else b"")


def _work(spec: Spec, store: Store, run: str, around: Surroundings, attempt: Attempt, clock: StageClock) -> Result:
    log.info("attempt %d of %s in run %s on %s", attempt.number, keys.job_id(spec.symbol, spec.preset), run, store.url)
    _say_stage(attempt, "data loading", spec)
    material = load_material(spec, store, clock, around.source)
    split = split_material(spec, material)
    warm = load_warm_start(spec, store, len(material.features.columns))

    identity = ":".join((spec.digest, material.bars.digest, code_identity().digest))
    found = attempt.find_checkpoint(identity)
    if found:
        log.info("going on from attempt %d's checkpoint", found[0])
    hooks = Hooks(
        should_stop=around.should_stop,
        on_epoch=lambda epoch: _say_epoch(attempt, epoch, spec),
        save=attempt.save,
        resume=lambda: found[1] if found else None,
        identity=identity,
    )
    _say_stage(attempt, "training", spec)
    learned = learn(spec, material, split, around.device, clock, hooks, warm)
    fitted = learned.fitted
    log.info(
        "fitted in %d epochs, best %d with validation loss %.6f, %.1f steps/s by %s",
        len(fitted.history), fitted.best_epoch, fitted.best_validation_loss, fitted.steps_per_second, fitted.path,
    )  # fmt: skip

    _say_stage(attempt, "evaluation", spec)
    with clock.stage("evaluation"):
        rows = JudgedRows(material.bars.close, split.test, spec.horizon, material.bars.step_ms)
        predicted = learned.forecast(rows.close, split.test)
        judgement = judge_forecast(rows, predicted, split.train, spec.sequence_length, trading_rules(spec))
        champion = read_champion(store, Seat(spec.symbol, spec.timeframe, spec.preset))
        if champion is not None:
            beside = measure_champion(store, champion[0], material.bars, rows, predicted, trading_rules(spec))
            judgement.evaluation["champion"] = beside
    if spec.folds:
        judgement.evaluation["folds"] = _walk_forward(spec, material, around, clock)

    _say_stage(attempt, "saving", spec)
    with tempfile.TemporaryDirectory(prefix="atb-bundle-") as name:
        folder = Path(name)
        with clock.stage("saving"):
            export = _export(spec, material, learned, folder)
            history = {
                "loss": [epoch.loss for epoch in fitted.history],
                "val_loss": [epoch.validation_loss for epoch in fitted.history],
                "learning_rate": [epoch.rate for epoch in fitted.history],
                "seconds": [epoch.seconds for epoch in fitted.history],
            }
            (folder / bundle.HISTORY).write_bytes(readable_json(history))
            title = f"{spec.symbol} {spec.timeframe} {spec.preset}"
            plots = draw_plots(folder / bundle.PLOTS, title, history, rows, material.bars.time, predicted, judgement)
            log.info("drew %s", ", ".join(path.name for path in plots))
        result = _describe(spec, run, material, learned, judgement, export, attempt, around, found)
        result = result.model_copy(
            update={"gate": judge_candidate(result, champion[0] if champion else None), "stages": clock.table()}
        )
        with clock.stage("saving"):
            (folder / bundle.METRICS).write_bytes(
                readable_json({"model": result.metrics, "baselines": result.baselines, "backtest": result.backtest})
            )
            (folder / bundle.CARD).write_text(write_card(result), encoding="utf-8")
            files = _upload(folder, store, run, result.job, attempt.number)
    result = result.model_copy(
        update={
            "files": files,
            "stages": clock.table(),
            "finished": datetime.now(UTC),
            "peak_memory_bytes": peak_memory(),
        }
    )
    for line in format_stages(result.stages):
        log.info("%s", line)
    return _commit(store, result, material)


def _walk_forward(spec: Spec, material: Material, around: Surroundings, clock: StageClock) -> dict[str, Any]:
    """Train anew on an ever longer past; each fold has scalers of its own."""
    found = []
    first_row = material.loaded.first_row
    splits = walk_forward(material.flat, material.starts, first_row, spec.sequence_length, spec.horizon, spec.folds)
    for number, split in enumerate(splits, 1):
        learned = learn(spec, material, split, around.device, clock, Hooks(should_stop=around.should_stop))
        rows = JudgedRows(material.bars.close, split.test, spec.horizon, material.bars.step_ms)
        predicted = learned.forecast(rows.close, split.test)
        found.append(dict(price_metrics(rows.actual, predicted, rows.last, spec.horizon)))
        log.info("fold %d of %d: skill %+.4f", number, spec.folds, found[-1]["skill"])
    return summarise_folds(found)


def _export(spec: Spec, material: Material, learned: Learned, folder: Path) -> dict[str, Any]:
    split, model = learned.split, learned.fitted.model
    model.save(folder / bundle.MODEL_KERAS)
    trained = Trained(spec, material.features, learned.scaler, learned.target, read_weights(model))
    if not spec.onnx:
        (folder / bundle.SCALER).write_bytes(readable_json(describe_scaling(trained)))
        (folder / bundle.FEATURE_SCHEMA).write_bytes(readable_json(describe_features(trained, {})))
        return {"skipped": "asked for with --skip-onnx"}
    ends = np.concatenate([split.train, split.validation, split.test])
    predict = reference_predict(model, spec.model_type)
    return export_model(trained, predict, flat=material.flat, bars=material.bars, ends=ends, directory=folder)


def _describe(
    spec: Spec,
    run: str,
    material: Material,
    learned: Learned,
    judgement: Judgement,
    export: dict[str, Any],
    attempt: Attempt,
    around: Surroundings,
    found: tuple[int, Any] | None,
) -> Result:
    split, fitted = learned.split, learned.fitted
    return Result(
        run=run,
        job=keys.job_id(spec.symbol, spec.preset),
        attempt=attempt.number,
        spec=spec,
        spec_digest=spec.digest,
        code=code_identity(),
        bars=material.loaded.summary,
        features=FeatureSummary(
            name=material.features.name,
            hash=feature_hash(material.features),
            columns=material.features.columns,
            cached=material.cached,
        ),
        split=SplitSummary(
            train=len(split.train),
            validation=len(split.validation),
            test=len(split.test),
            purged=split.purged,
            test_from=tf.from_epoch_ms(int(material.bars.time[split.validation_stop])),
        ),
        fit=FitSummary(
            device=around.device.name,
            path=fitted.path,
            parameters=int(fitted.model.count_params()),
            epochs=len(fitted.history),
            best_epoch=fitted.best_epoch,
            best_validation_loss=fitted.best_validation_loss,
            stopped_by="patience" if fitted.stopped_by == "patience" else "epochs",
            steps_per_second=fitted.steps_per_second,
            resumed_from_attempt=found[0] if found else None,
        ),
        metrics=judgement.metrics,
        baselines=judgement.baselines,
        evaluation=judgement.evaluation,
        backtest=judgement.backtest,
        export=export,
        stages=(),
        peak_memory_bytes=peak_memory(),
        started=attempt.started,
        finished=datetime.now(UTC),
        files=(),
    )


def _upload(folder: Path, store: Store, run: str, job: str, attempt: int) -> tuple[FileEntry, ...]:
    entries = []
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        name = path.relative_to(folder).as_posix()
        key = keys.bundle(run, job, attempt, name)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        store.put_file(key, path)
        entries.append(FileEntry(path=name, key=key, size=path.stat().st_size, sha256=digest))
    return tuple(entries)


def _commit(store: Store, result: Result, material: Material) -> Result:
    """Write the marker, once. Where another attempt was first, its result is the job's and ours is left unnamed."""
    key = keys.result(result.run, result.job)
    try:
        store.put_if_absent(key, result.to_bytes())
    except PreconditionFailed:
        log.info("another attempt has committed %s first; its result stands", key)
        return Result.from_bytes(store.get(key), key)
    pointer = ResultPointer(
        run=result.run,
        job=result.job,
        code_digest=result.code.digest,
        image=result.code.image,
        bars_digest=result.bars.digest,
        sources=material.bars.origins,
    )
    store.put(keys.result_index(result.spec_digest), pointer.to_bytes())
    log.info(
        "committed %s: test RMSE %.6g, persistence %.6g, skill %+.4f",
        key, result.metrics["rmse"], result.baselines["persistence"]["rmse"], result.metrics["skill"],
    )  # fmt: skip
    return result


def _committed(store: Store, run: str, job: str, spec: Spec) -> Result | None:
    key = keys.result(run, job)
    try:
        result = Result.from_bytes(store.get(key), key)
    except NotFound:
        return None
    if result.spec_digest != spec.digest:
        raise SpecError(
            f"{key} is the result of another spec ({result.spec_digest[:12]}, this one is {spec.digest[:12]}); "
            "name another --run"
        )
    return result


def _say_stage(attempt: Attempt, stage: str, spec: Spec) -> None:
    progress = Progress(
        attempt=attempt.number,
        stage=stage,
        epoch=attempt.epochs,
        epochs=spec.epochs,
        node=attempt.node,
        updated=datetime.now(UTC),
    )
    attempt.say(progress, now=True)


def _say_epoch(attempt: Attempt, epoch: Epoch, spec: Spec) -> None:
    attempt.epochs = epoch.number
    log.info(
        "epoch %d/%d loss %.6f val_loss %.6f rate %.2g %.1fs",
        epoch.number, spec.epochs, epoch.loss, epoch.validation_loss, epoch.rate, epoch.seconds,
    )  # fmt: skip
    progress = Progress(
        attempt=attempt.number,
        stage="training",
        epoch=epoch.number,
        epochs=spec.epochs,
        loss=epoch.loss,
        validation_loss=epoch.validation_loss,
        eta_seconds=(spec.epochs - epoch.number) * epoch.seconds,
        node=attempt.node,
        updated=datetime.now(UTC),
    )
    attempt.say(progress)
