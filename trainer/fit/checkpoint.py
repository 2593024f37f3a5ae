"""Everything a fit needs to resume as if it had never stopped, as one object of bytes."""

from __future__ import annotations

import io
import json
import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from atb.schema import printable
from trainer.bars.bounds import validate_archive

log = logging.getLogger(__name__)

Arrays = list[npt.NDArray[Any]]
MOST_BYTES = 2**30
"""The largest size of an unpacked checkpoint: a hundred times the largest net's."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The state of a fit. ``state``: plain data; ``variables`` of net and optimizer, ``best``: the net's best so far.

    ``identity`` names spec, bars and code: a fit resumes only from its own checkpoint.
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
    """The checkpoint, or None, and one line of the log, where it is of another spec, bars or code, or can't be read."""
    try:
        validate_archive(io.BytesIO(data), MOST_BYTES)
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            head = json.loads(str(archive["head"]))
            if head["identity"] != identity:
                raise ValueError("it is of another spec, other bars or other code")
            groups: dict[str, Arrays] = {"variables": [], "optimizer": [], "best": []}
            for name in sorted(archive.files):
                if name != "head":
                    groups[name.split("/")[0]].append(archive[name])
            return Checkpoint(identity, dict(head["state"]), **groups)
    except Exception as error:  # readers of archives, arrays and JSON raise anything for bytes that are none of theirs
        why = printable(f"{type(error).__name__}: {error}" if type(error) is not ValueError else str(error), 200)
        log.warning("a checkpoint is not usable, so the fit does not resume from it: %s", why)
        return None


def is_of(checkpoint: Checkpoint, variables: Arrays, optimizer: Arrays) -> bool:
    """Whether a checkpoint's arrays have the shapes and types of a fit's own, and all their numbers are finite."""
    pairs = ((checkpoint.variables, variables), (checkpoint.best, variables), (checkpoint.optimizer, optimizer))
    return all(
        len(saved) == len(own)
        and all(a.shape == b.shape and a.dtype == b.dtype for a, b in zip(saved, own, strict=True))
        and all(bool(np.isfinite(a).all()) for a in saved if a.dtype.kind == "f")
        for saved, own in pairs
    )
