"""One job's life, from a spec to a committed result. Read ``_work`` top to bottom; ``run_job`` keeps the books."""

from __future__ import annotations

import errno
import logging
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from atb.code import code_identity
from atb.contract import bundle, keys
from atb.contract.spec import Spec
from atb.documents.evaluation import Folds
from atb.documents.export import ExportSummary
from atb.documents.result import Result
from atb.errors import AtbError, Stopped, Unavailable
from atb.registry.champions import ModelKey
from atb.registry.weigh import foresee
from atb.schema import readable_json
from atb.storage import Store
from trainer.bars.source import Source
from trainer.bundle.card import write_card
from trainer.bundle.charts import draw_plots
from trainer.bundle.forecasts import write_forecasts
from trainer.evaluate.folds import summarise_folds
from trainer.export import Trained, convert_net, export_model, read_weights
from trainer.export.schema import describe_features, describe_scaling
from trainer.features.folds import walk_forward
from trainer.features.targets import history_needed
from trainer.fit.device import Device
from trainer.fit.loop import Fitted, Hooks
from trainer.log import LogTail
from trainer.networks.own import own_predict
from trainer.networks.reference import reference_predict
from trainer.pipeline.attempt import Attempt, commit_result, read_committed
from trainer.pipeline.champion import compare_met, judge_met, meet_champion
from trainer.pipeline.commit import describe_result, upload_bundle
from trainer.pipeline.evidence import describe_rows
from trainer.pipeline.heartbeat import heartbeat
from trainer.pipeline.judge import judge_model, judged_rows, trading_rules
from trainer.pipeline.learn import (
    FittedModel,
    TrainingData,
    find_unseen,
    learn,
    load_training_data,
    load_warm_start,
    split_training_data,
)
from trainer.pipeline.record import record_champion
from trainer.pipeline.stages import StageClock
from trainer.process_memory import peak_memory

log = logging.getLogger(__name__)

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True, eq=False)
class RunContext:
    """What a job meets beside its spec: where it runs, who may stop it, where its log goes, a source for tests.

    ``attempt``: the number to claim, where a worker has chosen one."""

    device: Device
    should_stop: Callable[[], bool] = lambda: False
    log_tail: LogTail | None = None
    source: Source | None = None
    attempt: int | None = None


def run_job(spec: Spec, store: Store, run: str, around: RunContext) -> Result:
    """Train, verify, commit; returns the committed result, also where another attempt had committed it before.

    Raises the classes of ``atb.errors``; whatever happens, the attempt leaves its exit report and log tail.
    """
    committed = read_committed(store, run, spec)
    if committed is not None:
        log.info("nothing to do: attempt %d has committed %s", committed.attempt, keys.result(run, committed.job))
        return committed
    attempt, clock = Attempt(store, run, keys.job_id(spec.symbol, spec.preset), around.attempt), StageClock()
    code, message = 70, ""
    try:
        with heartbeat(attempt.renew):
            result = _work(spec, store, run, around, attempt, clock)
        code, message = 0, "done"
        return result
    except AtbError as error:
        if isinstance(error, Unavailable) and around.should_stop():
            error = Stopped(f"{spec.symbol} {spec.preset}: stopped while it waited; {error}")
        code, message = error.exit_code, str(error)
        raise error from None
    except OSError as error:
        if error.errno not in _NO_SPACE:
            message = _log_bug(error)
            raise
        full = Unavailable(
            f"{spec.symbol} {spec.preset}: this machine's disk is full ({error.strerror}); free some space in "
            f"{tempfile.gettempdir()}, or set TMPDIR to a larger place"
        )
        code, message = full.exit_code, str(full)
        raise full from None
    except BaseException as error:
        message = _log_bug(error)
        raise
    finally:
        last = f"error: {message}\n".encode() if code else b""
        attempt.end(code, message, clock.current, (around.log_tail.to_bytes() if around.log_tail else b"") + last)


def _work(spec: Spec, store: Store, run: str, around: RunContext, attempt: Attempt, clock: StageClock) -> Result:
    log.info("attempt %d of %s in run %s on %s", attempt.number, attempt.job, run, store.url)
    attempt.say_stage("data loading", spec.epochs)
    material = load_training_data(spec, store, clock, around.source)
    split = split_training_data(spec, material)
    warm = load_warm_start(spec, store, len(material.features.columns), find_unseen(material, split))
    if around.should_stop():
        raise Stopped(f"{spec.symbol} {spec.preset}: stopped before training; the next attempt begins it")

    identity = ":".join((spec.digest, material.bars.digest, code_identity(spec).digest))
    resumed_from, checkpoint = attempt.find_checkpoint(identity) or (None, None)
    if checkpoint is not None:
        log.info("going on from attempt %d's checkpoint", resumed_from)
    hooks = Hooks(
        should_stop=around.should_stop,
        on_epoch=lambda epoch: attempt.say_epoch(epoch, spec.epochs),
        save=attempt.save,
        resume=lambda: checkpoint,
        identity=identity,
    )
    rows = judged_rows(spec, material.bars, split, split.test)
    champion = meet_champion(store, ModelKey.of(spec), material.bars, rows)
    attempt.say_stage("training", spec.epochs)
    learned = learn(spec, material, split, around.device, clock, hooks, warm)
    fitted = learned.fitted
    log.info(
        "fitted: %d epochs, the best %d with validation loss %.6f, %.1f steps/s by %s",
        len(fitted.history), fitted.best_epoch, fitted.best_validation_loss, fitted.steps_per_second, fitted.path,
    )  # fmt: skip

    attempt.say_stage("evaluation", spec.epochs)
    with clock.stage("evaluation"):
        judged = judge_model(spec, material, learned)
        judgement, predicted = judged.judgement, judged.test.predicted
        evaluation = judgement.evaluation
        test_rows = describe_rows(spec, material.bars, judged)
        if champion is not None:
            beside = compare_met(champion, rows, predicted, trading_rules(spec))
            evaluation = evaluation.model_copy(update={"champion": beside})
            inputs = material.features.columns, material.flat
            record_champion(store, run, champion, material.bars, rows.ends, predicted, test_rows, inputs)
    if spec.folds:
        folds = _walk_forward(spec, material, around, clock)
        evaluation = evaluation.model_copy(update={"folds": folds})

    attempt.say_stage("saving", spec.epochs)
    with tempfile.TemporaryDirectory(prefix="atb-bundle-") as name:
        folder = Path(name)
        with clock.stage("saving"):
            export = _export(spec, material, learned, judged.quantiles, around.device, folder)
            write_forecasts(folder / bundle.FORECASTS, material.bars.time, judged.validation, judged.test)
            history = _history(fitted)
            (folder / bundle.HISTORY).write_bytes(readable_json(history))
            title = f"{spec.symbol} {spec.timeframe} {spec.preset}"
            draw_plots(folder / bundle.PLOTS, title, history, rows, material.bars.time, predicted, judgement)
        result = describe_result(
            spec, run, attempt, around.device, material, learned, judgement, evaluation, export, resumed_from
        )
        gate = judge_met(result, champion, foresee(store, result, test_rows))
        result = result.model_copy(update={"gate": gate, "stages": clock.table()})
        with clock.stage("saving"):
            backtest = result.backtest.model_dump()
            measured = {"model": result.metrics, "baselines": result.baselines, "backtest": backtest}
            (folder / bundle.EVIDENCE).write_bytes(test_rows.to_bytes())
            (folder / bundle.METRICS).write_bytes(readable_json(measured))
            (folder / bundle.CARD).write_text(write_card(result), encoding="utf-8")
            files = upload_bundle(folder, store, run, result.job, attempt.number)
    last = {"files": files, "stages": clock.table(), "finished": datetime.now(UTC), "peak_memory_bytes": peak_memory()}
    result = result.model_copy(update=last)
    log.info("stages: %s", ", ".join(f"{row.name} {row.seconds:.2f} s" for row in result.stages))
    return commit_result(store, result, material.bars.origins)


def _walk_forward(spec: Spec, material: TrainingData, around: RunContext, clock: StageClock) -> Folds:
    """Train anew on an ever longer past; each fold has scalers of its own."""
    found = []
    first_row = material.loaded.first_row
    length, horizon, history = spec.sequence_length, spec.horizon, history_needed(spec)
    splits = walk_forward(material.flat, material.starts, first_row, length, horizon, spec.folds, history)
    for number, split in enumerate(splits, 1):
        learned = learn(spec, material, split, around.device, clock, Hooks(should_stop=around.should_stop))
        rows = judged_rows(spec, material.bars, split, split.test)
        answers = learned.forecast(material, split.test)
        found.append(rows.measure(answers if spec.target == "volatility" else rows.last * np.exp(answers)))
        log.info("fold %d of %d: skill %+.4f", number, spec.folds, found[-1]["skill"])
    return summarise_folds(found)


def _export(
    spec: Spec,
    material: TrainingData,
    learned: FittedModel,
    quantiles: tuple[float, ...],
    device: Device,
    folder: Path,
) -> ExportSummary:
    """Write the model's files; returns what was verified of them, for the result."""
    split, model = learned.split, learned.fitted.model
    model.save(folder / bundle.MODEL_KERAS)
    trained = Trained(
        spec, material.features, learned.scaler, learned.target, read_weights(model), quantiles, learned.har,
        convert_net(model, spec.net) if spec.net and spec.onnx else None,
    )  # fmt: skip
    if not spec.onnx:
        (folder / bundle.SCALER).write_bytes(readable_json(describe_scaling(trained)))
        (folder / bundle.FEATURE_SCHEMA).write_bytes(readable_json(describe_features(trained, {})))
        return ExportSummary(skipped="asked for with --skip-onnx")
    ends = np.concatenate([split.train, split.validation, split.test])
    exact = device.kind == "cpu" and device.count == 1 and not spec.mixed_precision
    if exact:
        predict = learned.fitted.predict
    else:
        predict = own_predict(model) if spec.net else reference_predict(model, spec.model_type)
    return export_model(
        trained,
        predict,
        flat=material.flat,
        bars=material.bars,
        ends=ends,
        test_ends=split.test,
        directory=folder,
    )


def _history(fitted: Fitted) -> dict[str, list[float]]:
    """Columns named as Keras names them."""
    return {
        "loss": [epoch.loss for epoch in fitted.history],
        "val_loss": [epoch.validation_loss for epoch in fitted.history],
        "learning_rate": [epoch.rate for epoch in fitted.history],
        "seconds": [epoch.seconds for epoch in fitted.history],
    }


def _log_bug(error: BaseException) -> str:
    log.exception("this is a bug of ours")
    return f"{type(error).__name__}: {error}"
