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
    re.compile(r"\b(?:Basic|[Bb]earer)\s+(?=[A-Za-z0-9._~+/=-]*[0-9=])[A-Za-z0-9._~+/=-]{8,}"),  # a header, repeated
    re.compile(r"://[^/\s@]*(?::[^\s@]*)?@"),  # a user or a password inside an address
    re.compile(
        r"(?<![\w.:-])[A-Za-z][\w.-]*:[^\s/@'\"]+@(?!sha256:)(?=[\w\[])"
    ),  # the same, its scheme mistyped or absent
    re.compile(
        r"(?i)[?&#][a-z0-9_.-]*(?:token|secret|passw(?:or)?d|signature|credential|api_?key|access_?key(?:_?id)?)"
        r"=[^\s&'\"]+"
    ),  # a signed address
)
PLAIN_NAME = re.compile(
    r"^((https?|no|all)_proxy|(HTTPS?|NO|ALL)_PROXY|TZ|LANG|LC_[A-Z]+|TMPDIR|SSL_CERT_(FILE|DIR)|REQUESTS_CA_BUNDLE"
    r"|AWS_((DEFAULT_)?REGION|CA_BUNDLE|ENDPOINT_URL(_S3)?|USE_(FIPS|DUALSTACK)_ENDPOINT|EC2_METADATA_DISABLED)"
    r"|(ATB|TF|XLA|CUDA|CUDNN|NVIDIA|NCCL|KERAS|OMP|MKL|MALLOC)_[A-Z0-9_]+|PYTHON[A-Z]+)$"
)
"""Environment variables that are known to hold no secret. No look-around: Go reads this in the chart's schema too."""
TELLING_NAME = (
    r"(?i)(secret|passw|passphrase|(_|^)pass$|pwd$|token|credential|private|api_?key|access_?key|_key$|_auth|bearer"
    r"|cookie)"
)
"""A part of a name that suggests a secret, for the same two."""
TELLING_VALUE = (
    r"://[^/\s]*@|-----BEGIN [A-Z ]*PRIVATE KEY-----|\b(AKIA|ASIA)[A-Z0-9]{16}\b"
    r"|\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.|\b(gh[pousr]_|glpat-|xox[abpr]-|sk-)[A-Za-z0-9_-]{16,}"
    r"|[?&#][A-Za-z0-9_.-]*(?i:token|secret|passwd|password|signature|credential|api_?key|access_?key)="
    r"|(^|\")[A-Za-z][\w.-]*:[^\s/@\"]+@[\w.-]+(:[0-9]{1,5})?/?($|\")"
)
"""What no plain value may hold, however it is named, for the same two; the chart also looks for it in JSON."""
_BLOB = re.compile(r"(?=[A-Za-z0-9+=]*[a-z])(?=[A-Za-z0-9+=]*[A-Z])(?=[A-Za-z0-9+=]*[0-9])[A-Za-z0-9+=]{20,}")
"""A long run of small and capital letters and digits, without what separates the words of a path or a name."""
_BLOB_BITS = 3.8
"""Bits per character above which such a run counts as a key."""


def holds_secret(value: str) -> bool:
    """Whether a value has a secret's shape, whatever it is for."""
    return any(shape.search(value) for shape in _SHAPES)


def looks_like_secret(name: str, value: str) -> bool:
    """Whether a named value is better passed by reference: by its name, a known shape, or its randomness."""
    if not value:
        return False
    if _NAME.search(name) or holds_secret(value):
        return True
    return any(_entropy(blob) > _BLOB_BITS for blob in _BLOB.findall(value))


def redact(text: str) -> str:
    """The text with everything of a secret's shape replaced by ``[redacted]``."""
    for shape in _SHAPES:
        text = shape.sub("[redacted]", text)
    return text


def _entropy(text: str) -> float:
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values())
