"""One job, from a spec to a committed result. Read ``train_job`` top to bottom; ``run_job`` records how it ends."""

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
from atb.contract.exits import name_shortage
from atb.contract.spec import Spec
from atb.documents.attempt import KILLED
from atb.documents.evaluation import Folds
from atb.documents.evidence import TestRows
from atb.documents.export import ExportSummary
from atb.documents.result import FIT_STAGE, Result
from atb.errors import AtbError, Stopped, Unavailable
from atb.registry.champions import ModelKey
from atb.registry.weigh import foresee, spend_alone
from atb.schema import readable_json
from atb.storage import Store
from trainer.bars.source import Source
from trainer.bundle.card import write_card
from trainer.bundle.charts import draw_plots
from trainer.bundle.forecasts import write_forecasts, write_shown
from trainer.bundle.keras_file import save_keras
from trainer.evaluate.backtest import trading_rules
from trainer.evaluate.folds import summarise_folds
from trainer.export import Trained, convert_net, export_model, read_weights
from trainer.export.schema import describe_features, describe_scaling
from trainer.features.folds import walk_forward
from trainer.features.targets import history_needed
from trainer.features.training_data import TrainingData, load_training_data, split_training_data
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
from trainer.pipeline.judge import Judged, judge_model, judged_rows
from trainer.pipeline.learn import FittedModel, find_unseen, learn, load_warm_start
from trainer.pipeline.record import record_champion
from trainer.pipeline.stages import StageClock
from trainer.process_memory import peak_memory
from trainer.stop_signals import is_orphaned

log = logging.getLogger(__name__)

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True, eq=False)
class RunContext:
    """What a job needs beside its spec: where it runs, what may stop it, where its log goes, a source for tests.

    ``attempt``: the number to claim, where a worker has chosen one. ``startup_seconds``: what its process took
    until now, where that does nothing but train. ``ended_by``: Stopped, where a stop signal caused the error.
    """

    device: Device
    should_stop: Callable[[], bool] = lambda: False
    log_tail: LogTail | None = None
    source: Source | None = None
    attempt: int | None = None
    startup_seconds: float = 0.0
    ended_by: Callable[[BaseException], AtbError | None] = lambda error: None


def run_job(spec: Spec, store: Store, run: str, context: RunContext) -> Result:
    """Train, verify, commit; returns the committed result, even if another attempt committed it before.

    Raises the classes of ``atb.errors``; whatever happens, the attempt leaves its exit report and log tail.
    """
    committed = read_committed(store, run, spec)
    if committed is not None:
        log.info("nothing to do: attempt %d has committed %s", committed.attempt, keys.result(run, committed.job))
        _spend(store, committed)
        return committed
    attempt = Attempt(store, run, keys.job_id(spec.symbol, spec.preset), context.attempt)

    def announce(stage: str) -> None:
        log.info("stage %s%s", stage, ": compiling the step comes first" if stage == FIT_STAGE else "")
        attempt.say_stage(stage, spec.epochs)

    clock = StageClock(announce)
    code, message, category = 70, "", ""
    try:
        with heartbeat(attempt.renew):
            result = train_job(spec, store, run, context, attempt, clock)
        code, message = 0, "done"
        _spend(store, result)
        return result
    except AtbError as error:
        if isinstance(error, Unavailable) and context.should_stop():
            error = Stopped(f"{spec.symbol} {spec.preset}: stopped while it waited; {error}")
        if isinstance(error, Stopped) and is_orphaned():
            error = Stopped(f"{error}; what starts trainings was killed: the system does this when memory runs out")
            category = KILLED
        code, message = error.exit_code, str(error)
        raise error from None
    except BaseException as error:
        if (ended := context.ended_by(error) or _explain_machine(error, spec)) is None:
            message = _log_bug(error)
            raise
        code, message = ended.exit_code, str(ended)
        raise ended from None
    finally:
        last = f"error: {message}\n".encode() if code else b""
        tail = context.log_tail.to_bytes() if context.log_tail else b""
        attempt.end(code, message, clock.current, tail + last, category)


def train_job(spec: Spec, store: Store, run: str, context: RunContext, attempt: Attempt, clock: StageClock) -> Result:
    """Bars to committed result, in order. Raises the classes of ``atb.errors``."""
    log.info("attempt %d of %s in run %s on %s", attempt.number, attempt.job, run, store.url)
    data = load_training_data(spec, store, context.source, clock.stage)
    split = split_training_data(spec, data)
    warm = load_warm_start(spec, store, len(data.features.columns), find_unseen(data, split))
    if context.should_stop():
        raise Stopped(f"{spec.symbol} {spec.preset}: stopped before training; the next attempt starts it")

    identity = ":".join((spec.digest, data.bars.digest, code_identity(spec).digest))
    resumed_from, checkpoint = attempt.find_checkpoint(identity) or (None, None)
    if checkpoint is not None:
        log.info("resuming from attempt %d's checkpoint", resumed_from)
    hooks = Hooks(
        should_stop=context.should_stop,
        on_epoch=lambda epoch: attempt.say_epoch(epoch, spec.epochs),
        save=attempt.save,
        resume=lambda: checkpoint,
        identity=identity,
    )
    rows = judged_rows(spec, data.bars, split, split.test)
    champion = meet_champion(store, ModelKey.of(spec), data.bars, rows)
    fitted_model = learn(spec, data, split, context.device, clock, hooks, warm)
    fitted = fitted_model.fitted
    log.info(
        "fitted: %d epochs, the best %d with validation loss %.6f, %.1f steps/s by %s",
        len(fitted.history), fitted.best_epoch, fitted.best_validation_loss, fitted.steps_per_second, fitted.path,
    )  # fmt: skip

    with clock.stage("evaluation"):
        judged = judge_model(spec, data, fitted_model)
        test_rows = describe_rows(spec, data.bars, judged)
        evaluation = judged.judgement.evaluation
        if champion is not None:
            beside = compare_met(champion, rows, judged.test.predicted, trading_rules(spec))
            evaluation = evaluation.model_copy(update={"champion": beside})
            inputs = data.features.columns, data.flat
            record_champion(store, run, champion, data.bars, rows.ends, judged.test.predicted, test_rows, inputs)
    if spec.folds:
        evaluation = evaluation.model_copy(update={"folds": _walk_forward(spec, data, context, clock)})

    with tempfile.TemporaryDirectory(prefix="atb-bundle-") as name:
        folder = Path(name)
        with clock.stage("saving"):
            export = _write_model(spec, data, fitted_model, judged, context.device, folder)
        result = describe_result(
            spec, run, attempt, context.device, data, fitted_model, judged.judgement, evaluation, export, resumed_from
        )
        gate = judge_met(result, champion, foresee(store, result, test_rows))
        result = result.model_copy(update={"gate": gate, "stages": clock.table()})
        with clock.stage("saving"):
            _write_report(result, test_rows, folder)
            files = upload_bundle(folder, store, run, result.job, attempt.number)
    ended = {"stages": clock.table(), "startup_seconds": context.startup_seconds, "finished": datetime.now(UTC)}
    result = result.model_copy(update={"files": files, "peak_memory_bytes": peak_memory(), **ended})
    log.info("stages: %s", ", ".join(f"{row.name} {row.seconds:.2f} s" for row in result.stages))
    return commit_result(store, result)


def _spend(store: Store, result: Result) -> None:
    """Evidence counts once a training is committed; a failure to write it does not undo the training."""
    try:
        shown = spend_alone(store, result)
    except AtbError as problem:
        log.warning("the evidence could not be written; it will be when the model is promoted: %s", problem)
        return
    if shown is not None:
        log.info("evidence of %s: %s", ModelKey.of(result.spec), shown.words)


def _write_model(
    spec: Spec, data: TrainingData, fitted_model: FittedModel, judged: Judged, device: Device, folder: Path
) -> ExportSummary:
    """The model's files, forecasts, history and charts."""
    export = _export(spec, data, fitted_model, judged.quantiles, device, folder)
    write_forecasts(folder / bundle.FORECASTS, data.bars.time, judged.validation, judged.test)
    write_shown(folder / bundle.SHOWN, data.bars.time, judged.test)
    history = _history(fitted_model.fitted)
    (folder / bundle.HISTORY).write_bytes(readable_json(history))
    title = f"{spec.symbol} {spec.timeframe} {spec.preset}"
    rows = judged_rows(spec, data.bars, fitted_model.split, fitted_model.split.test)
    plots = folder / bundle.PLOTS
    draw_plots(plots, title, history, rows, data.bars.time, judged.test.predicted, judged.judgement)
    return export


def _write_report(result: Result, test_rows: TestRows, folder: Path) -> None:
    """The bundle's description of the model: evidence, metrics and the card."""
    backtest = result.backtest.model_dump()
    measured = {"model": result.metrics, "baselines": result.baselines, "backtest": backtest}
    (folder / bundle.EVIDENCE).write_bytes(test_rows.to_bytes())
    (folder / bundle.METRICS).write_bytes(readable_json(measured))
    (folder / bundle.CARD).write_text(write_card(result), encoding="utf-8")


def _walk_forward(spec: Spec, data: TrainingData, context: RunContext, clock: StageClock) -> Folds:
    """Train again on longer and longer histories; each fold has its own scalers."""
    found = []
    first_row = data.loaded.first_row
    length, horizon, history = spec.sequence_length, spec.horizon, history_needed(spec)
    splits = walk_forward(data.flat, data.starts, first_row, length, horizon, spec.folds, history)
    for number, split in enumerate(splits, 1):
        fitted_model = learn(spec, data, split, context.device, clock, Hooks(should_stop=context.should_stop))
        rows = judged_rows(spec, data.bars, split, split.test)
        answers = fitted_model.forecast(data, split.test)
        found.append(rows.measure(answers if spec.target == "volatility" else rows.last * np.exp(answers)))
        log.info("fold %d of %d: skill %+.4f", number, spec.folds, found[-1]["skill"])
    return summarise_folds(found)


def _export(
    spec: Spec,
    data: TrainingData,
    fitted_model: FittedModel,
    quantiles: tuple[float, ...],
    device: Device,
    folder: Path,
) -> ExportSummary:
    """Write the model's files; returns what was verified of them, for the result."""
    split, model = fitted_model.split, fitted_model.fitted.model
    save_keras(model, folder / bundle.MODEL_KERAS)
    trained = Trained(
        spec, data.features, fitted_model.scaler, fitted_model.target, read_weights(model), quantiles, fitted_model.har,
        convert_net(model, spec.net) if spec.net and spec.onnx else None,
    )  # fmt: skip
    if not spec.onnx:
        (folder / bundle.SCALER).write_bytes(readable_json(describe_scaling(trained)))
        (folder / bundle.FEATURE_SCHEMA).write_bytes(readable_json(describe_features(trained, {})))
        return ExportSummary(skipped="asked for with --skip-onnx")
    ends = np.concatenate([split.train, split.validation, split.test])
    exact = device.kind == "cpu" and device.count == 1 and not spec.mixed_precision
    if exact:
        predict = fitted_model.fitted.predict
    else:
        predict = own_predict(model) if spec.net else reference_predict(model, spec.model_type)
    return export_model(
        trained,
        predict,
        flat=data.flat,
        bars=data.bars,
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


def _explain_machine(error: BaseException, spec: Spec) -> Unavailable | None:
    """A full disk, or a limit of this process, as a failure of ours; None for any other error."""
    name = f"{spec.symbol} {spec.preset}"
    if isinstance(error, OSError) and error.errno in _NO_SPACE:
        place = tempfile.gettempdir()
        return Unavailable(
            f"{name}: this machine's disk is full ({error.strerror}); free some space in {place}, or set TMPDIR to a "
            "larger place"
        )
    shortage = name_shortage(error)
    return Unavailable(f"{name}: {shortage}") if shortage else None


def _log_bug(error: BaseException) -> str:
    log.exception("this is a bug in atb")
    return f"{type(error).__name__}: {error}"
