"""Train one price model for each crypto symbol, and forecast with it: the Python API, and below it
what both commands share.

Importing it is quick: pandas, TensorFlow and the rest are loaded when something is called that needs them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from atb.api.bars import load_bars
    from atb.api.models import Model, load_model
    from atb.api.runs import Run, open_run
    from atb.api.training import train
    from atb.documents.result import Result
    from atb.errors import AtbError
    from atb.storage import Store, open_store

__version__ = "0.1.0"

__all__ = [
    "AtbError",
    "Model",
    "Result",
    "Run",
    "Store",
    "load_bars",
    "load_model",
    "open_run",
    "open_store",
    "train",
]

_HOMES = {
    "AtbError": "atb.errors",
    "Model": "atb.api.models",
    "Result": "atb.documents.result",
    "Run": "atb.api.runs",
    "Store": "atb.storage",
    "load_bars": "atb.api.bars",
    "load_model": "atb.api.models",
    "open_run": "atb.api.runs",
    "open_store": "atb.storage",
    "train": "atb.api.training",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'atb' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
