"""Names in documents that become parts of keys and paths: checked as they are read, so that none leads elsewhere; and
numbers in names."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

from atb.contract.runs import validate_run
from atb.errors import SpecError

_DIGITS = re.compile("[0-9]+")
_DECIMAL = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?")
_JOB = re.compile(r"[^/\\\x00-\x1f\x7f.][^/\\\x00-\x1f\x7f]{0,199}")


def _run(text: str) -> str:
    try:
        return validate_run(text)
    except SpecError as error:
        raise ValueError(str(error)) from None


def _job(text: str) -> str:
    if not _JOB.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is not a job's name, like BTCUSDT-fast")
    return text


def whole_number(text: str, most_digits: int = 9) -> int | None:
    """The number that a part of a key, an annotation or an option is; None for anything else: other alphabets' digits,
    say, or a number without bounds."""
    return int(text) if len(text) <= most_digits and _DIGITS.fullmatch(text) else None


def decimal_number(text: str) -> float | None:
    """The seconds that a header or an annotation names, like ``1.5``; None for anything else."""
    return float(text) if _DECIMAL.fullmatch(text) else None


RunName = Annotated[str, AfterValidator(_run)]
"""The name of a run: a folder, and a label value."""
JobName = Annotated[str, AfterValidator(_job)]
"""The name of a job in its run: a folder, never a path."""
