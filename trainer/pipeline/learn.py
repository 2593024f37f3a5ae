"""Steps 5 and 6 of a job: from bars, features and a split to a fitted net."""

from __future__ import annotations

import logging
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from atb.contract import timeframe as tf
from atb.contract.bundle import MODEL_KERAS
from atb.contract.spec import Spec
from atb.errors import SpecError
from atb.registry.warm import read_warm_start, unseen_from
from atb.schema import printable
from atb.storage import Store
from trainer.bars.frame import Floats, Times
from trainer.evaluate.stacking import stacking_weight
from trainer.features.har import Har, har_inputs
from trainer.features.scaling import Scaler, TargetScaler
from trainer.features.targets import target_values
from trainer.features.training_data import TrainingData
from trainer.features.windows import Split
from trainer.fit.augment import make_augment
from trainer.fit.device import Device
from trainer.fit.loop import Fitted, Hooks, fit
from trainer.fit.steps import Table, predict_rows
from trainer.networks.build import Network, build_network, load_network
from trainer.networks.own import build_own_network, load_own_network
from trainer.pipeline.stages import StageClock

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class FittedModel:
    """A fitted net with its scalers, which saw train rows only, and the split and scaled rows they come from.

    ``har``: what the net's answers are added to, fitted on the same rows; ``weight``: the share of them that is, which
    ``target`` includes.
    """

    split: Split
    table: Table
    scaler: Scaler
    target: TargetScaler
    fitted: Fitted
    har: Har | None = None
    weight: float = 1.0

    def forecast(self, data: TrainingData, ends: Times) -> Floats:
        """The forecast log-returns, or logs of volatility per bar, float64 ``[len(ends)]``."""
        steps = self.fitted.model.input_shape[1]
        scaled = predict_rows(self.fitted.predict, self.table.features, ends, steps)
        found = self.target.inverse_transform(scaled)
        if self.har is not None:
            found = found + self.har.forecast(har_inputs(data.features.columns, data.flat, ends))
        return found


def learn(
    spec: Spec,
    data: TrainingData,
    split: Split,
    device: Device,
    clock: StageClock,
    hooks: Hooks | None = None,
    warm_start: Network | None = None,
) -> FittedModel:
    """Fit a net on one split. Raises Diverged and Stopped."""
    with clock.stage("dataset"):
        scaler = Scaler.fit(data.flat[split.first_row : split.train_stop])
        ends = np.concatenate([split.train, split.validation])
        wanted = np.zeros(len(data.bars))
        wanted[ends] = target_values(spec, data.bars, ends)
        har = None
        if spec.residual == "har":
            inputs = har_inputs(data.features.columns, data.flat, ends)
            har = Har.fit(inputs[: len(split.train)], wanted[split.train])
            wanted[ends] -= har.forecast(inputs)
        target = TargetScaler.fit(wanted[split.train])
        table = Table(np.nan_to_num(scaler.transform(data.flat)), target.transform(wanted))
    with clock.stage("training"), device.spread():
        model = _build(spec, len(data.features.columns), device)
        if warm_start is not None:
            model.set_weights(warm_start.get_weights())
        augment = make_augment(spec.augment, spec.seed)
        fitted = fit(model, table, split.train, split.validation, spec, device, hooks, augment)
        weight = 1.0
        if har is not None:
            outputs = predict_rows(fitted.predict, table.features, split.validation, spec.sequence_length)
            weight = stacking_weight(outputs, table.target[split.validation], spec.horizon)
            log.info("validation rows keep %.0f %% of what the net adds to HAR", 100 * weight)
            target = TargetScaler(weight * target.mean, weight * target.scale)
    return FittedModel(split, table, scaler, target, fitted, har, weight)


def _build(spec: Spec, features: int, device: Device) -> Network:
    if not spec.net:
        return build_network(
            spec.model_type,
            spec.sequence_length,
            features,
            spec.seed,
            mixed_precision=spec.mixed_precision,
            replicas=device.count,
        )
    if device.count > 1:
        raise SpecError("--net trains on one GPU; leave out --gpus")
    return build_own_network(spec.net, spec.sequence_length, features, spec.seed)


def find_unseen(data: TrainingData, split: Split) -> datetime:
    """The first bar that neither the net nor its scalers nor early stopping sees: where the test part begins."""
    return tf.from_epoch_ms(int(data.bars.time[split.validation_stop]))


def load_warm_start(spec: Spec, store: Store, feature_count: int, tested_from: datetime) -> Network | None:
    """The net that the spec starts from, if any.

    Raises SpecError for one of another shape, or one that has seen bars which this training is tested on.
    """
    if not spec.warm_start:
        return None
    if (fresh := unseen_from(store, spec.warm_start)) > tested_from:
        raise SpecError(
            f"--warm-start {spec.warm_start.split('@')[0]} has seen bars up to {fresh:%Y-%m-%dT%H:%MZ}, and this "
            f"training is tested from {tested_from:%Y-%m-%dT%H:%MZ} on; use a later --as-of or fewer --days"
        )
    with tempfile.TemporaryDirectory(prefix="atb-") as folder:
        path = Path(folder, MODEL_KERAS)
        path.write_bytes(read_warm_start(store, spec.warm_start))
        if spec.net:
            return load_own_network(path, spec.net, spec.sequence_length, feature_count)
        try:
            model = load_network(path)
        except (KeyError, OSError, TypeError, ValueError) as error:
            reason = printable(str(error).partition("\n")[0], 120)
            raise SpecError(
                f"--warm-start {spec.warm_start.split('@')[0]} is no Keras file of a net: {reason}"
            ) from None
    wanted = (None, spec.sequence_length, feature_count)
    if model.name != spec.model_type or tuple(model.input_shape) != wanted:
        raise SpecError(
            f"--warm-start {spec.warm_start.split('@')[0]} is a {model.name} net for windows {model.input_shape[1:]}, "
            f"and this training wants {spec.model_type} for {wanted[1:]}; use the same preset, features and window"
        )
    return model
