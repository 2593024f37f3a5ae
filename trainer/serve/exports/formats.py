"""Reading a model from the store and writing it as another program's files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from atb.documents.result import Result
from atb.registry.pull import bundle_file, read_file
from atb.schema import readable_json
from atb.storage import Store
from atb.storage.folders import real_path, replaced_folder
from trainer.serve.exports.freqtrade import freqtrade_files
from trainer.serve.exports.mlflow import mlflow_files
from trainer.serve.exports.model import ABOUT, ModelToExport, describe_model
from trainer.serve.exports.triton import triton_files

FORMATS: dict[str, Callable[[ModelToExport], dict[str, bytes]]] = {
    "triton": triton_files,
    "mlflow": mlflow_files,
    "freqtrade": freqtrade_files,
}
"""The files of each format, by their paths in the model's folder."""


def read_model(store: Store, result: Result) -> ModelToExport:
    """The model of a committed result, its files verified. Raises SpecError for a bundle without a model that takes
    bars, StoreError for a damaged file."""
    return describe_model(result, lambda name: read_file(store, bundle_file(result.files, name, result.run)))


def export_model(model: ModelToExport, kind: str, folder: Path) -> Path:
    """Write the model in a format of FORMATS to a folder of its own in ``folder``; returns that.

    A former export there is replaced, in one step, if all its files are as they were written. Raises SpecError where
    something else is there or it can't be written, or where the format can't hold the model.
    """
    files = FORMATS[kind](model)
    digests = {path: hashlib.sha256(data).hexdigest() for path, data in files.items()}
    target = real_path(folder) / model.name
    with replaced_folder(target, ABOUT, _files_of, "an exported model") as staging:
        for path, data in {**files, ABOUT: readable_json({**model.about, "files": digests})}.items():
            (staging / path).parent.mkdir(parents=True, exist_ok=True)
            (staging / path).write_bytes(data)
    return target


def _files_of(about: bytes) -> dict[str, str]:
    """What an export wrote beside its ``about.json``; nothing where another program wrote that."""
    try:
        files = json.loads(about)["files"]
        return {str(path): str(digest) for path, digest in files.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
