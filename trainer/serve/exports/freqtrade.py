"""A freqtrade strategy that trades as the model's backtest does, from the ONNX file beside it."""

from __future__ import annotations

import pprint
import re

from atb.contract import bundle
from atb.errors import SpecError
from atb.render import render
from trainer.evaluate.backtest import trading_rules
from trainer.serve.exports.model import ModelToExport

_MODEL = "model.onnx"


def freqtrade_files(model: ModelToExport) -> dict[str, bytes]:
    """The strategy and its model by their paths. Raises SpecError for a model that gives no direction, or that reads
    columns which freqtrade's candles don't have."""
    spec = model.result.spec
    if spec.target != "return":
        raise SpecError(f"{model.name} forecasts the {spec.target}, which has no direction to trade; see --as mlflow")
    if model.extra_columns:
        raise SpecError(
            f"{model.name} reads {', '.join(model.extra_columns)}, which freqtrade's candles don't have; train it "
            "without, or see --as mlflow"
        )
    rules = trading_rules(spec)
    name = "Atb" + "".join(part.capitalize() for part in re.split(r"[^A-Za-z0-9]+", model.name))
    text = render(
        "trainer.serve",
        "strategy.py.j2",
        about=pprint.pformat(model.about, sort_dicts=False, width=110),
        timeframe=spec.timeframe,
        rows=model.rows,
        strategy=name,
        file=_MODEL,
        pair_letters="".join(re.findall(r"[A-Z0-9]+", spec.symbol.upper())),
        threshold=rules.threshold,
        short=rules.short,
        reads_clock=bundle.TIME in {tensor.name for tensor in model.inputs},
        inputs={"bars": bundle.BARS, "time": bundle.TIME},
        output=bundle.RETURN,
    )
    return {f"{name}.py": text.encode(), _MODEL: model.onnx}
