"""Values that look like secrets: they belong in a Secret, never in a plan, an object or a command line."""

from __future__ import annotations

import math
import re
from collections import Counter

_NAME = re.compile(r"(?i)(secret|password|passwd|token|credential|private|api_?key|access_?key(?!_id$))")
_SHAPES = (
    re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),  # an AWS access key's id
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    re.compile(r"\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]+"),  # a JSON web token
    re.compile(r"\b(?:gh[pousr]_|glpat-|xox[abpr]-|sk-)[A-Za-z0-9_-]{16,}"),
    re.compile(r"://[^/\s:@]+:[^/\s@]+@"),  # a password inside an address
)
_BLOB = re.compile(r"(?=[A-Za-z0-9+=]*[a-z])(?=[A-Za-z0-9+=]*[A-Z])(?=[A-Za-z0-9+=]*[0-9])[A-Za-z0-9+=]{20,}")
"""A long run of small and capital letters and digits, without what separates the words of a path or a name."""
_BLOB_BITS = 3.8
"""Bits a character from which such a run is taken for a key."""


def looks_like_secret(name: str, value: str) -> bool:
    """Whether a named value is better passed by reference: by its name, a known shape, or its randomness."""
    if not value:
        return False
    if _NAME.search(name) or any(shape.search(value) for shape in _SHAPES):
        return True
    return any(_entropy(blob) > _BLOB_BITS for blob in _BLOB.findall(value))


def redact(text: str) -> str:
    """The text with everything of a secret's shape replaced by ``[redacted]``."""
    for shape in _SHAPES:
        text = shape.sub("[redacted]", text)
    return text


def _entropy(text: str) -> float:
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values())
