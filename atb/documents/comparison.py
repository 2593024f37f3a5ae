"""The document of ``atb compare``: what each preset cost and achieved on the same rows and seed."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from atb.documents.result import TOTAL_STAGE, StageTime
from atb.schema import Document, Part

MEASURED = {
    "return": ("linear", ("skill", "directional_accuracy"), ("rmse", "mape")),
    "volatility": ("har", ("skill", "qlike"), ("rmse", "mae")),
}
"""What the tables of a comparison need, by target: the baseline that each shows, numbers of it and of each preset, and
errors of each preset, which are above 0."""


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

    @property
    def seconds(self) -> float:
        """What the whole training took."""
        return sum(stage.seconds for stage in self.stages if stage.name == TOTAL_STAGE)


class Comparison(Document):
    """All presets on all symbols, each once. ``rows`` counts the shared test rows by symbol."""

    kind: ClassVar[str] = "comparison"

    run: str
    created: AwareDatetime
    presets: tuple[str, ...]
    seed: int
    features: str
    target: Literal["return", "volatility"] = "return"
    rows: dict[str, Annotated[int, Field(ge=1)]]
    trained: Annotated[tuple[PresetResult, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _has_tables(self) -> Self:
        found = sorted((each.symbol, each.preset) for each in self.trained)
        if found != sorted((symbol, preset) for symbol in self.rows for preset in self.presets):
            raise ValueError("it does not have each preset on each symbol, once")
        baseline, numbers, errors = MEASURED[self.target]
        for each in self.trained:
            measured = [each.metrics, each.baselines.get(baseline, {})]
            if any(name not in values for values in measured for name in numbers):
                raise ValueError(f"{each.job} lacks one of {', '.join(numbers)}")
            if any("skill" not in values for values in each.baselines.values()):
                raise ValueError(f"a baseline of {each.job} has no skill")
            if min(each.validation_loss, each.seconds, *(each.metrics.get(name, 0.0) for name in errors)) <= 0:
                raise ValueError(f"{each.job} has an error or a time of nothing")
        return self
