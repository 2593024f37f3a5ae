"""The published presets, as data. The numbers are the contract; a test holds them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

PresetName = Literal["fast", "balanced", "quality", "legacy"]
ModelType = Literal["fast", "balanced", "quality", "adaptive"]

PRESET_NAMES: tuple[PresetName, ...] = get_args(PresetName)
MODEL_TYPES: tuple[ModelType, ...] = get_args(ModelType)
DEFAULT_PRESET: PresetName = "balanced"


@dataclass(frozen=True)
class Preset:
    """One row of the published table."""

    model_type: ModelType
    epochs: int
    batch_size: int
    sequence_length: int
    patience: int
    days: int
    learning_rate: float


PRESETS: dict[PresetName, Preset] = {
    "fast": Preset("fast", epochs=100, batch_size=64, sequence_length=60, patience=10, days=180, learning_rate=2e-3),
    "balanced": Preset(
        "balanced", epochs=200, batch_size=48, sequence_length=90, patience=15, days=180, learning_rate=1e-3
    ),
    "quality": Preset(
        "quality", epochs=300, batch_size=32, sequence_length=120, patience=20, days=365, learning_rate=5e-4
    ),
    "legacy": Preset(
        "adaptive", epochs=300, batch_size=32, sequence_length=120, patience=15, days=180, learning_rate=1e-3
    ),
}
