"""The files of a bundle, named here and nowhere else."""

from __future__ import annotations

MODEL = "model.onnx"
"""Raw feature windows → return and price."""
MODEL_FROM_BARS = "model_from_bars.onnx"
"""Raw bars with their warm-up → return and price."""
MODEL_INT8 = "model.int8.onnx"
"""``model.onnx`` with 8-bit weights, where its error allows."""
MODEL_KERAS = "model.keras"
SCALER = "scaler.json"
FEATURE_SCHEMA = "feature_schema.json"
HISTORY = "history.json"
METRICS = "metrics.json"
EVIDENCE = "evidence.json"
"""The test rows, for the ledger."""
FORECASTS = "forecasts.parquet"
"""The model's forecast for each validation and test row, with bands, baselines and the outcome."""
CARD = "card.md"
PLOTS = "plots/"
SHOWN = f"{PLOTS}forecast.json"
"""The last test rows as the run's page draws them: closes with their band, and the forecast beside the outcome."""

FEATURES = "features"
LAST_CLOSE = "last_close"
BARS = "bars"
EXTRA = "extra"
TIME = "time"
"""The inputs of the ONNX models. ``time``: the bars' open times in milliseconds since 1970 UTC, int64, for features
that read the clock."""
SCALED = "scaled"
RETURN = "return"
PRICE = "price"
VOLATILITY = "volatility"
"""Their outputs, float32 ``[batch, 1]`` each: what the net says; then the log-return and the price, or the volatility
per bar."""
LOWER = "lower"
UPPER = "upper"
"""The outputs that every model has: prices float64 ``[batch, levels]``, between which the close lies with the stated
probabilities."""

LEVEL_COLUMN = "close"
"""A feature set with this column knows the price level; one without is given the last close beside its features."""
