"""What every format is made from: a model's ONNX file with its inputs and outputs, and what it forecasts."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from atb.contract import bundle
from atb.contract.keys import model_kind
from atb.contract.labels import safe_segment
from atb.documents.result import Result
from atb.errors import SpecError
from atb.registry.champions import ModelKey
from trainer.evaluate.backtest import trading_rules

ABOUT = "about.json"
"""Lies in every exported folder, so that a later export knows the folder as its own."""


@dataclass(frozen=True)
class Tensor:
    """An input or output of the ONNX file. ``shape`` begins with the batch, whose size is free: -1."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class ModelToExport:
    """A model that forecasts from raw bars: its ONNX file, and the result that describes it."""

    result: Result
    onnx: bytes
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    rows: int
    levels: tuple[float, ...]
    extra_columns: tuple[str, ...]

    @property
    def name(self) -> str:
        """A name that is a file's too: ``BTCUSDT-1h-fast``."""
        key = ModelKey.of(self.result.spec)
        parts = [safe_segment(key.symbol), key.timeframe, key.preset]
        return "-".join(filter(None, [*parts, model_kind(key.target, key.horizon, key.market)]))

    @property
    def about(self) -> dict[str, Any]:
        """What a program should know that the ONNX file does not contain."""
        result, spec = self.result, self.result.spec
        return {
            "symbol": spec.symbol,
            "timeframe": spec.timeframe,
            "target": spec.target,
            "horizon": spec.horizon,
            "rows": self.rows,
            "columns": ["open", "high", "low", "close", "volume"],
            "extra_columns": list(self.extra_columns),
            "levels": list(self.levels),
            "threshold_bps": trading_rules(spec).terms.threshold_bps,
            "source": spec.source,
            "market": spec.market,
            "run": result.run,
            "job": result.job,
            "as_of": spec.as_of.isoformat(),
            "unseen_from": (result.split.test_from or spec.as_of).isoformat(),
            "skill": result.metrics.get("skill"),
            "synthetic": result.bars.synthetic,
            "code": result.code.digest,
        }


def describe_model(result: Result, read: Callable[[str], bytes]) -> ModelToExport:
    """The model of a bundle, whose files ``read`` gives by name. Raises SpecError where it has none that takes bars."""
    try:
        schema = json.loads(read(bundle.FEATURE_SCHEMA))
        files = {entry["file"]: entry for entry in schema["files"]}
        entry = files.get(bundle.MODEL_FROM_BARS)
        if entry is None:
            raise SpecError(f"this bundle has no {bundle.MODEL_FROM_BARS}; see why in its {bundle.CARD}")
        return ModelToExport(
            result=result,
            onnx=read(bundle.MODEL_FROM_BARS),
            inputs=tuple(map(_tensor, entry["inputs"])),
            outputs=tuple(map(_tensor, entry["outputs"])),
            rows=int(entry["rows"]),
            levels=tuple(map(float, schema.get("bands", {}).get("levels", ()))),
            extra_columns=tuple(schema["extra_columns"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise SpecError(f"{bundle.FEATURE_SCHEMA} is of another version; train the model again") from None


def _tensor(value: dict[str, Any]) -> Tensor:
    shape = tuple(-1 if isinstance(size, str) else int(size) for size in value["shape"])
    return Tensor(value["name"], value["type"], shape)
