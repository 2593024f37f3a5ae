"""How long one forecast takes."""

from __future__ import annotations

import statistics
import time

import numpy as np
import onnxruntime

_WARM, _TIMED = 5, 50
_TYPES = {"tensor(double)": np.float64, "tensor(float)": np.float32, "tensor(int64)": np.int64}


def measure_latency(session: onnxruntime.InferenceSession) -> float:
    """Median milliseconds of a run at batch 1, on as many threads as the session has; inputs are all ones."""
    feed = {
        value.name: np.ones(
            [size if isinstance(size, int) else 1 for size in value.shape],
            _TYPES[value.type],
        )
        for value in session.get_inputs()
    }
    seconds = []
    for _ in range(_WARM + _TIMED):
        began = time.perf_counter()
        session.run(None, feed)
        seconds.append(time.perf_counter() - began)
    return round(1000 * statistics.median(seconds[_WARM:]), 4)
