"""Steps 2 to 4 of a job: from a spec to bars, features and a split, without what a fit needs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from atb.contract.spec import Spec
from atb.storage import Store
from trainer.bars.frame import Bars, Times, segment_starts
from trainer.bars.load import LoadedBars, load_bars
from trainer.bars.source import Source
from trainer.features.causality import validate_own_features
from trainer.features.folds import walk_forward
from trainer.features.movement import validate_movement, validate_targets
from trainer.features.sets import Features, FeatureSet, compute_features, feature_set
from trainer.features.targets import history_needed, target_values
from trainer.features.windows import Split, rows_needed, split_windows


@dataclass(frozen=True, eq=False)
class TrainingData:
    """The data that a job trains on. ``flat``: raw features float32 ``[rows of bars, F]``."""

    loaded: LoadedBars
    features: FeatureSet
    flat: Features

    @property
    def bars(self) -> Bars:
        """The checked bars, the warm-up before the window included."""
        return self.loaded.bars

    @property
    def starts(self) -> Times:
        """The first row of each gap-free segment."""
        return segment_starts(self.bars)


def load_training_data(
    spec: Spec,
    store: Store,
    source: Source | None = None,
    stage: Callable[[str], AbstractContextManager[Any]] = contextlib.nullcontext,
) -> TrainingData:
    """Bars and features of a spec, each in the ``stage`` of that name. Raises what ``load_bars`` raises."""
    with stage("data loading"):
        features = feature_set(spec.features)
        loaded = load_bars(spec, store, features.memory, rows_needed(spec.sequence_length, spec.horizon), source)
    with stage("features"):
        flat = compute_features(features, loaded.bars)
        if features.base.own is not None:
            validate_own_features(spec, features, loaded.bars, flat)
    return TrainingData(loaded, features, flat)


def split_training_data(spec: Spec, data: TrainingData) -> Split:
    """The job's own split in time. Raises DataError where a part has no window, or nothing in it moves."""
    window = (data.flat, data.starts, data.loaded.first_row, spec.sequence_length, spec.horizon)
    history = history_needed(spec)
    split = split_windows(*window, history)
    for each in (split, *(walk_forward(*window, spec.folds, history) if spec.folds else ())):
        validate_movement(data.bars, data.flat, data.features.columns, each)
        ends = {"train": each.train, "validation": each.validation, "test": each.test}
        validate_targets(data.bars, {part: target_values(spec, data.bars, rows) for part, rows in ends.items()}, ends)
    return split
