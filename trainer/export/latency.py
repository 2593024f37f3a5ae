"""How long one forecast takes."""

from __future__ import annotations

import statistics
import time

import numpy as np
import onnxruntime

_WARM, _TIMED = 20, 200


def measure_latency(session: onnxruntime.InferenceSession) -> float:
    """Median milliseconds of a run at batch 1, on as many threads as the session has; inputs are all ones."""
    feed = {
        value.name: np.ones(
            [size if isinstance(size, int) else 1 for size in value.shape],
            np.float64 if value.type == "tensor(double)" else np.float32,
        )
        for value in session.get_inputs()
    }
    seconds = []
    for _ in range(_WARM + _TIMED):
        began = time.perf_counter()
        session.run(None, feed)
        seconds.append(time.perf_counter() - began)
    return round(1000 * statistics.median(seconds[_WARM:]), 4)
