"""The end of a job: its result described, its bundle uploaded, and the marker written last."""

from __future__ import annotations

import hashlib
import logging
from datetime import UTC, datetime
from pathlib import Path

from atb.code import code_identity
from atb.contract import keys
from atb.contract import timeframe as tf
from atb.contract.spec import Spec
from atb.documents.evaluation import Evaluation
from atb.documents.export import ExportSummary
from atb.documents.result import FeatureSummary, FileEntry, FitSummary, Result, SplitSummary
from atb.storage import Store
from atb.storage.read import map_calls
from trainer.evaluate.evaluation import Judgement
from trainer.features.sets import feature_hash
from trainer.features.training_data import TrainingData
from trainer.fit.device import Device
from trainer.pipeline.attempt import Attempt
from trainer.pipeline.learn import FittedModel, find_unseen
from trainer.process_memory import peak_memory

log = logging.getLogger(__name__)


def describe_result(
    spec: Spec,
    run: str,
    attempt: Attempt,
    device: Device,
    data: TrainingData,
    fitted_model: FittedModel,
    judgement: Judgement,
    evaluation: Evaluation,
    export: ExportSummary,
    resumed_from: int | None,
) -> Result:
    """What a job has found, still without its gate, stages and files."""
    split, fitted = fitted_model.split, fitted_model.fitted
    return Result(
        run=run,
        job=keys.job_id(spec.symbol, spec.preset),
        attempt=attempt.number,
        spec=spec,
        spec_digest=spec.digest,
        code=code_identity(spec),
        bars=data.loaded.summary,
        features=FeatureSummary(
            name=data.features.name,
            hash=feature_hash(data.features),
            columns=data.features.columns,
        ),
        split=SplitSummary(
            train=len(split.train),
            validation=len(split.validation),
            test=len(split.test),
            purged=split.purged,
            validation_from=tf.from_epoch_ms(int(data.bars.time[split.train_stop])),
            test_from=find_unseen(data, split),
        ),
        fit=FitSummary(
            device=device.name,
            path=fitted.path,
            parameters=int(fitted.model.count_params()),
            epochs=len(fitted.history),
            best_epoch=fitted.best_epoch,
            best_validation_loss=fitted.best_validation_loss,
            stopped_by=fitted.stopped_by,
            steps_per_second=fitted.steps_per_second,
            resumed_from_attempt=resumed_from,
            residual_weight=None if fitted_model.har is None else fitted_model.weight,
        ),
        metrics=judgement.metrics,
        baselines=judgement.baselines,
        evaluation=evaluation,
        backtest=judgement.backtest,
        export=export,
        stages=(),
        peak_memory_bytes=peak_memory(),
        started=attempt.started,
        finished=datetime.now(UTC),
        files=(),
    )


def upload_bundle(folder: Path, store: Store, run: str, job: str, attempt: int) -> tuple[FileEntry, ...]:
    """Write the files of the folder, several at a time; returns what a result says of them, in order of their paths."""

    def upload(path: Path) -> FileEntry:
        name = path.relative_to(folder).as_posix()
        key = keys.bundle(run, job, attempt, name)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        store.put_file(key, path)
        return FileEntry(path=name, key=key, size=path.stat().st_size, sha256=digest)

    return tuple(map_calls(store, upload, sorted(each for each in folder.rglob("*") if each.is_file())))
