"""Features kept in the store by what made them."""

from __future__ import annotations

from trainer.bars.frame import Bars
from trainer.features.sets import Features, FeatureSet, compute_features
from trainer.storage import Store


def load_features(features: FeatureSet, bars: Bars, store: Store) -> tuple[Features, bool]:
    """The features of these bars and whether they came from the store."""
    return compute_features(features, bars), False
