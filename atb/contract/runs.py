"""Names of runs: ours sort by time and are never the same twice; the user's own must fit labels and keys."""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime
from functools import lru_cache

from atb.errors import SpecError

_RUN = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
"""A run's name is a label value and a folder."""


def new_run(now: datetime | None = None) -> str:
    """``YYYYMMDD-HHMMSS-xxxx``, UTC."""
    return f"{now or datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def is_run_name(text: str) -> bool:
    """Whether a run can have that name: people leave other folders beside runs."""
    return _RUN.fullmatch(text) is not None


@lru_cache(1024)
def validate_run(run: str) -> str:
    """The name, where a run can have it. Raises SpecError."""
    if not is_run_name(run):
        raise SpecError(f"run {run!r} is not a name: use up to 63 letters, digits and . _ -, like 20260131-0600")
    return run


DEFAULT_FDR = 0.05
"""The false-discovery rate of a run unless another is given: the expected share of promoted models that know
nothing."""
