"""The document of ``atb compare``: what each preset cost and achieved on the same rows and seed."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from atb.documents.result import StageTime
from atb.schema import Document, Part


class PresetResult(Part):
    """One preset on one symbol. ``metrics`` and ``baselines`` are on the test rows that all presets can answer, and
    ``validation_loss`` on such validation rows: squared errors in the variance of the train rows' returns."""

    symbol: str
    preset: str
    job: str
    device: str
    epochs: int
    parameters: int
    stages: tuple[StageTime, ...]
    validation_loss: float
    peak_memory_bytes: int = 0
    metrics: dict[str, float]
    baselines: dict[str, dict[str, float]]


class Comparison(Document):
    """All presets on all symbols. ``rows`` counts the shared test rows by symbol."""

    kind: ClassVar[str] = "comparison"

    run: str
    created: datetime
    presets: tuple[str, ...]
    seed: int
    features: str
    target: str = "return"
    rows: dict[str, int]
    trained: tuple[PresetResult, ...]
