"""Nets with random weights on made-up bars, as a fit would hand them on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from atb.contract.presets import ModelType
from atb.contract.spec import resolve_spec
from trainer.bars.frame import Bars, Times, segment_starts
from trainer.export import Trained, read_weights
from trainer.export.parity import Predict
from trainer.features.har import Har, har_inputs
from trainer.features.scaling import Scaler, TargetScaler
from trainer.features.sets import Features, compute_features, feature_set
from trainer.features.targets import target_values
from trainer.features.windows import window_ends
from trainer.networks.build import build_network
from trainer.networks.reference import reference_predict

HOUR = 3_600_000


@dataclass(frozen=True)
class Fitted:
    """What ``export_model`` is called with."""

    trained: Trained
    predict: Predict
    flat: Features
    bars: Bars
    ends: Times


def make_bars(rows: int, price: float, *, seed: int = 0, extra: tuple[str, ...] = ()) -> Bars:
    """A random walk around a price, with no digits rounded away."""
    rng = np.random.default_rng(seed)
    close = price * np.exp(np.cumsum(rng.normal(0, 0.01, rows)))
    opened = np.concatenate([[price], close[:-1]])
    high = np.maximum(opened, close) * (1 + rng.uniform(0, 0.004, rows))
    low = np.minimum(opened, close) * (1 - rng.uniform(0, 0.004, rows))
    values = np.column_stack([opened, high, low, close, rng.lognormal(8, 1, rows)])
    columns = {name: rng.normal(size=rows) for name in extra}
    return Bars("BTCUSDT", "1h", 500_000 * HOUR + HOUR * np.arange(rows), values, columns, synthetic=True)


def make_fitted(
    model_type: ModelType,
    features: str,
    bars: Bars,
    *,
    sequence_length: int = 24,
    horizon: int = 1,
    target: str = "return",
    residual: str = "none",
    as_on_gpus: bool = False,
    edit: Callable[[Any], None] = lambda model: None,
) -> Fitted:
    """A net with random weights and random moving statistics, and scalers fitted on the bars; ``edit`` has the last
    word on the Keras model. ``as_on_gpus``: as it is built for two GPUs in mixed precision."""
    chosen = feature_set(features)
    spec = resolve_spec(
        "BTCUSDT",
        "fast",
        {
            "source": "sample",
            "features": features,
            "model_type": model_type,
            "sequence_length": sequence_length,
            "horizon": horizon,
            "target": target,
            "residual": residual,
            "start": "2026-01-01",
            "as_of": "2026-02-01",
        },
    )
    shape = {"mixed_precision": True, "replicas": 2} if as_on_gpus else {}
    model = build_network(model_type, sequence_length, len(chosen.columns), seed=3, **shape)  # type: ignore[arg-type]
    rng = np.random.default_rng(3)
    for layer in model.layers:
        if layer.weights:
            layer.set_weights([array + rng.normal(0, 0.05, array.shape) for array in layer.get_weights()])
        if hasattr(layer, "moving_variance"):
            layer.moving_mean.assign(rng.normal(0, 0.5, layer.moving_mean.shape))
            layer.moving_variance.assign(rng.uniform(0.2, 3, layer.moving_variance.shape))
    edit(model)
    flat = compute_features(chosen, bars)
    ends = window_ends(flat, segment_starts(bars), 0, sequence_length, horizon)
    wanted = target_values(spec, bars, ends)
    har = None
    if residual == "har":
        inputs = har_inputs(chosen.columns, flat, ends)
        har = Har.fit(inputs, wanted)
        wanted = wanted - har.forecast(inputs)
    trained = Trained(
        spec=spec,
        features=chosen,
        scaler=Scaler.fit(flat),
        target=TargetScaler.fit(wanted),
        weights=read_weights(model),
        quantiles=(0.7, 1.3, 2.1),
        har=har,
    )
    return Fitted(trained, reference_predict(model, model_type), flat, bars, ends)
