"""An MLflow model directory: the flavors ``onnx`` and ``python_function``, with signature and environment."""

from __future__ import annotations

import json
import platform
from importlib import metadata
from typing import Any

import yaml

from trainer.serve.exports.model import ModelToExport, Tensor

_DATA = "model.onnx"
_MLFLOW = "3.1.0"
"""The version whose layout this is; later ones read it."""
_REQUIRED = ("onnx", "onnxruntime", "numpy")


def mlflow_files(model: ModelToExport) -> dict[str, bytes]:
    """The files of the directory by their path in it."""
    required = [f"mlflow>={_MLFLOW}", *(f"{name}=={metadata.version(name)}" for name in _REQUIRED)]
    python = {"python": platform.python_version(), "build_dependencies": ["pip"]}
    conda = {
        "name": "mlflow-env",
        "channels": ["conda-forge"],
        "dependencies": [f"python={platform.python_version()}", "pip", {"pip": required}],
    }
    return {
        "MLmodel": _yaml(_description(model)),
        _DATA: model.onnx,
        "requirements.txt": "".join(f"{line}\n" for line in required).encode(),
        "python_env.yaml": _yaml({**python, "dependencies": ["-r requirements.txt"]}),
        "conda.yaml": _yaml(conda),
    }


def _description(model: ModelToExport) -> dict[str, Any]:
    return {
        "flavors": {
            "onnx": {
                "code": None,
                "data": _DATA,
                "onnx_version": metadata.version("onnx"),
                "providers": ["CPUExecutionProvider"],
            },
            "python_function": {
                "data": _DATA,
                "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
                "loader_module": "mlflow.onnx",
                "python_version": platform.python_version(),
            },
        },
        "metadata": model.about,
        "mlflow_version": _MLFLOW,
        "model_uuid": model.result.spec_digest[:32],
        "signature": {
            "inputs": json.dumps([_signature(tensor) for tensor in model.inputs]),
            "outputs": json.dumps([_signature(tensor) for tensor in model.outputs]),
            "params": None,
        },
        "utc_time_created": f"{model.result.finished:%Y-%m-%d %H:%M:%S.%f}",
    }


def _signature(tensor: Tensor) -> dict[str, Any]:
    spec = {"dtype": tensor.dtype, "shape": list(tensor.shape)}
    return {"name": tensor.name, "type": "tensor", "tensor-spec": spec}


def _yaml(value: Any) -> bytes:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True).encode()
