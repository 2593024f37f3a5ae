"""``model.keras``, as Keras loads it, with the same bytes for the same net."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any
from zipfile import ZipFile, ZipInfo

_SHARED = re.compile(rb'("shared_object_id": )(\d+)')
_LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""The first moment that a zip can name."""


def save_keras(model: Any, path: Path) -> None:
    """Save a Keras model. Keras writes the time and addresses in memory to the file: here they are constants and
    numbers in the order of their appearance, so that the files of two trainings can be compared by their hashes."""
    saved = path.with_name(f"{path.stem}.saved{path.suffix}")
    model.save(saved)
    with ZipFile(saved) as source, ZipFile(path, "w") as target:
        for name in source.namelist():
            with source.open(name) as before, target.open(ZipInfo(name, _LONG_AGO), "w", force_zip64=True) as after:
                if name == "config.json":
                    after.write(_number_shared(before.read()))
                elif name == "metadata.json":
                    after.write(json.dumps({**json.load(before), "date_saved": "1980-01-01@00:00:00"}).encode())
                else:
                    shutil.copyfileobj(before, after)
    saved.unlink()


def _number_shared(config: bytes) -> bytes:
    """The configuration with its objects' addresses as 1, 2, …: equal ones stay equal, by which objects are shared."""
    addresses = dict.fromkeys(found[2] for found in _SHARED.finditer(config))
    numbers = {address: str(number).encode() for number, address in enumerate(addresses, 1)}
    return _SHARED.sub(lambda found: found[1] + numbers[found[2]], config)
