"""Everything a fit needs to go on as if it had never stopped, as one object of bytes."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Arrays = list[npt.NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Where a fit stood. ``state``: plain data; ``variables`` of net and optimizer, ``best``: the net's best so far.

    ``identity`` names spec, bars and code: a fit goes on only from its own checkpoint.
    """

    identity: str
    state: dict[str, Any]
    variables: Arrays
    optimizer: Arrays
    best: Arrays


def pack_checkpoint(checkpoint: Checkpoint) -> bytes:
    """One npz archive."""
    buffer = io.BytesIO()
    head = json.dumps({"identity": checkpoint.identity, "state": checkpoint.state}, allow_nan=False)
    groups = {"variables": checkpoint.variables, "optimizer": checkpoint.optimizer, "best": checkpoint.best}
    arrays = {f"{name}/{number:04}": array for name, group in groups.items() for number, array in enumerate(group)}
    np.savez(buffer, allow_pickle=False, head=np.array(head), **arrays)
    return buffer.getvalue()


def unpack_checkpoint(data: bytes, identity: str) -> Checkpoint | None:
    """The checkpoint, or None where it is of another spec, other bars or code, or can't be read."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            head = json.loads(str(archive["head"]))
            if head["identity"] != identity:
                return None
            groups: dict[str, Arrays] = {"variables": [], "optimizer": [], "best": []}
            for name in sorted(archive.files):
                if name != "head":
                    groups[name.split("/")[0]].append(archive[name])
            return Checkpoint(identity, head["state"], **groups)
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile):
        return None
