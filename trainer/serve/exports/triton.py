"""A Triton model repository: one model with one version, run by the ONNX Runtime backend."""

from __future__ import annotations

import json
from collections.abc import Iterator

from trainer.serve.exports.model import ModelToExport, Tensor

_TYPES = {"float32": "TYPE_FP32", "float64": "TYPE_FP64", "int64": "TYPE_INT64"}
_MAX_BATCH = 64
_PARAMETERS = (
    "symbol", "timeframe", "target", "horizon", "market", "columns", "levels", "threshold_bps", "run", "as_of",
    "unseen_from", "synthetic",
)  # fmt: skip


def triton_files(model: ModelToExport) -> dict[str, bytes]:
    """The files of the model's folder in a repository, by their path in it. Triton adds the batch to every shape."""
    return {"config.pbtxt": "".join(_config(model)).encode(), "1/model.onnx": model.onnx}


def _config(model: ModelToExport) -> Iterator[str]:
    yield f"name: {_text(model.name)}\n"
    yield 'backend: "onnxruntime"\n'
    yield f"max_batch_size: {_MAX_BATCH}\n"
    for tensor in model.inputs:
        yield _tensor("input", tensor)
    for tensor in model.outputs:
        yield _tensor("output", tensor)
    yield "instance_group {\n  count: 1\n  kind: KIND_CPU\n}\n"
    yield "dynamic_batching {\n}\n"
    for key in _PARAMETERS:
        value = model.about[key]
        text = value if isinstance(value, str) else json.dumps(value)
        yield f"parameters {{\n  key: {_text(key)}\n  value {{\n    string_value: {_text(text)}\n  }}\n}}\n"


def _tensor(kind: str, tensor: Tensor) -> str:
    dims = "".join(f"  dims: {size}\n" for size in tensor.shape[1:])
    return f"{kind} {{\n  name: {_text(tensor.name)}\n  data_type: {_TYPES[tensor.dtype]}\n{dims}}}\n"


def _text(text: str) -> str:
    """A string as protobuf's text format writes it."""
    return json.dumps(text)
