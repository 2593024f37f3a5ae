"""Resolving a warm start: a name becomes one file with its hash, so that the spec stays exact."""

from __future__ import annotations

from datetime import datetime

from atb.contract import keys
from atb.contract.bundle import MODEL_KERAS
from atb.documents.result import FileEntry
from atb.errors import SpecError
from atb.registry.champions import ModelKey, require_champion, verify
from atb.registry.promote import read_result
from atb.storage import Store


def pin_warm_start(store: Store, text: str, model_key: ModelKey) -> str:
    """``champion`` or a run's name as ``KEY@SHA256`` of that model's Keras file; pinned text stays as it is.

    Raises SpecError where there is no such model.
    """
    if not text or "@" in text:
        return text
    if text == "champion":
        files, whose = require_champion(store, model_key).files, f"the champion of {model_key}"
    else:
        files = read_result(store, text, keys.job_id(model_key.symbol, model_key.preset)).files
        whose = f"run {text}"
    for file in files:
        if file.path == MODEL_KERAS:
            return f"{file.key}@{file.sha256}"
    raise SpecError(f"{whose} has no {MODEL_KERAS} to start from")


def unseen_from(store: Store, pinned: str) -> datetime:
    """From where on the bars are new to the net that a spec's ``warm_start`` names, by its result.

    Raises SpecError where the file is in no run's bundle, or the run has no result any more.
    """
    key = pinned.rpartition("@")[0]
    owner = keys.owner(key)
    if owner is None:
        raise SpecError(
            f"--warm-start {key} is in no run's bundle, so it is not known which bars it has seen; name a run"
        )
    result = read_result(store, *owner)
    return result.split.test_from or result.spec.as_of


def read_warm_start(store: Store, pinned: str) -> bytes:
    """The Keras file that a spec's ``warm_start`` names, verified. Raises StoreError."""
    key, _, sha256 = pinned.rpartition("@")
    data = store.get(key)
    verify(FileEntry(path=MODEL_KERAS, key=key, size=len(data), sha256=sha256), data)
    return data
