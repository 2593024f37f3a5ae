"""Feature sets of the user's own: plug-ins of the group ``atb.features``, or ``module:name``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from atb.contract.bundle import LEVEL_COLUMN
from atb.errors import SpecError
from atb.plugins import FEATURES, require_plugin
from trainer.bars.frame import Bars, Floats

RETURN_COLUMN = "log_return"
"""What bands are measured from where a set has no close."""
_COLUMN = re.compile(r"[a-z][a-z0-9_]{0,62}")


class OwnFeatures(Protocol):
    """What the entry point is: a module or an object with these names.

    ``columns`` name the features in order, one of them ``close`` or ``log_return``, from which the price bands are
    made. ``warmup``: rows at the beginning of a gap-free stretch for which a feature is not defined. ``memory``: rows
    after which the past no longer matters to the sixth digit. A set that reads the bars' times has
    ``reads_clock = True`` as well.
    """

    columns: Sequence[str]
    warmup: int
    memory: int

    def compute(self, bars: Bars) -> Iterable[Floats]:
        """The columns of a gap-free stretch in order, float64 ``[n]`` each; a row from itself and earlier rows only."""

    def write(self, stretch: Any) -> Sequence[str]:
        """The same columns as ONNX nodes, one value or several at a time, with a ``trainer.export.stretch.Stretch``.

        May be left out by a set that is only ever trained with ``--skip-onnx``.
        """


def load_own_features(name: str) -> OwnFeatures:
    """The plug-in. Raises SpecError where it is not installed, or no feature set."""
    found: Any = require_plugin(FEATURES, name).load()
    what = f"feature set {name}"
    columns = getattr(found, "columns", ())
    if isinstance(columns, str) or not all(isinstance(each, str) and _COLUMN.fullmatch(each) for each in columns):
        raise SpecError(f"{what}: columns must be names of small letters, digits and _, but it is {columns!r}")
    if len(set(columns)) != len(columns):
        raise SpecError(f"{what}: two columns have the same name")
    if LEVEL_COLUMN not in columns and RETURN_COLUMN not in columns:
        raise SpecError(f"{what}: one column must be {LEVEL_COLUMN} or {RETURN_COLUMN}, from which bands are made")
    for number in ("warmup", "memory"):
        if type(value := getattr(found, number, None)) is not int or value < 0:
            raise SpecError(f"{what}: {number} must be a number of rows, not {value!r}")
    if found.memory < found.warmup:
        raise SpecError(f"{what}: memory must be at least the warm-up, {found.warmup} rows, but is {found.memory}")
    if not callable(getattr(found, "compute", None)):
        raise SpecError(f"{what} has no function compute(bars)")
    return found  # type: ignore[no-any-return]


def compute_own(name: str, own: OwnFeatures, bars: Bars) -> Iterator[Floats]:
    """The columns of a gap-free stretch. Raises SpecError where ``compute`` does not give what the plug-in states."""
    columns = [np.asarray(column, np.float64) for column in own.compute(bars)]
    if len(columns) != len(own.columns):
        raise SpecError(f"feature set {name}: compute gave {len(columns)} columns for {len(own.columns)} names")
    for title, column in zip(own.columns, columns, strict=True):
        if column.shape != (len(bars),):
            raise SpecError(f"feature set {name}: {title} has the shape {column.shape} for {len(bars)} bars")
        if not np.isfinite(column[own.warmup :]).all():
            row = own.warmup + int(np.flatnonzero(~np.isfinite(column[own.warmup :]))[0])
            raise SpecError(f"feature set {name}: {title} is {column[row]} in row {row}, after the warm-up")
        yield column
