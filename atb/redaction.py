"""Values that look like secrets: they belong in a Secret, never in a plan, an object or a command line."""

from __future__ import annotations

import math
import re
from collections import Counter

_KEY = r"(?:secret[_-]?|access[_-]?|api[_-]?|account[_-]?|private[_-]?)key|client[_-]?secret"
_WORD = rf"(?:{_KEY}|password|passwd|passphrase|token|signature)"
"""What the names of secrets end with. A ``secret`` alone is more often the name of a Secret."""
_ENDS = ("key", "secret", "passw", "passphrase", "token", "signature")
_START = r"(?:(?<![\w-])|(?<=\\[nrt]))"
"""Where a header's name begins, also after the escape of a line break."""
_PLAIN = r"(?!\$|/[\w.-]+/|\[redacted|(?:true|false|none|null)\b)"
"""A value that is none: a reference, a path, a switch."""
_NAME = re.compile(r"(?i)(secret|password|passwd|token|credential|private|api_?key|access_?key(?!_id$))")
_SHAPES: tuple[tuple[tuple[str, ...], re.Pattern[str]], ...] = (
    (("akia", "asia"), re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b")),  # an AWS access key's id
    (("iqojb3", "fwogzx"), re.compile(r"\b(?:IQoJb3JpZ2lu|FwoGZXIvYXdz)[A-Za-z0-9+/=]{16,}")),  # an AWS session
    (
        ("private key",),
        re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?:.*?-----END [A-Z ]*PRIVATE KEY-----|.*)", re.DOTALL),
    ),
    (("eyj",), re.compile(r"\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]+")),  # a JSON web token
    (
        ("gh", "github", "glpat-", "xox"),
        re.compile(r"\b(?:gh[pousr]_|github_pat_|glpat-|xox[abeprs]-)[A-Za-z0-9_-]{16,}"),
    ),
    (
        ("npm_", "hf_", "aiza", "sk-"),
        re.compile(r"\b(?:npm_|hf_|AIza|sk-)[A-Za-z0-9]{20,}|\bsk-(?:proj|ant)-[A-Za-z0-9_-]{20,}"),
    ),
    (  # a header, repeated
        ("basic", "bearer"),
        re.compile(r"\b(?:Basic|[Bb]earer)\s+(?=[A-Za-z0-9._~+/=-]*[0-9=])[A-Za-z0-9._~+/=-]{8,}"),
    ),
    (
        ("@",),
        re.compile(
            r"(?<!ssh)(?<!sftp)://[^/\s@:]*@(?:[^/\s@]*@)*"  # who an address is opened as: for SSH a user is no secret
            r"|://[^/\s@:]*:(?![0-9]{1,5}/)[^\s@]{0,500}@(?:[^/\s@]*@)*"  # a password may hold a slash and an @
        ),
    ),
    (
        ("@",),  # the same, its scheme mistyped or absent
        re.compile(
            r"(?:(?<![\w./:@+-])|(?<=//)|(?<=:/))(?!files:|ccxt:)[A-Za-z][\w.-]*:[^\s/@'\"]+@(?!sha[0-9]+:)(?=[\w\[])"
        ),
    ),
)
_NAMED: tuple[tuple[tuple[str, ...], re.Pattern[str]], ...] = (
    (  # a signed address
        (*_ENDS, "credential", "sig", "auth", "pwd", "pass", "jwt"),
        re.compile(
            r"(?i)((?:[?&#;]|%3F|%26)(?:[a-z0-9_.-]*(?:token|secret|passw(?:or)?d|signature|credential|api[_-]?key"
            r"|access[_-]?key(?:_?id)?)|sig|auth|pwd|pass|key|jwt)(?:=|%3D))[^\s&'\"]+"
        ),
    ),
    (_ENDS, re.compile(rf"(?i)({_WORD}[\"']?\s?=\s?[\"']?){_PLAIN}[^\s\"'&;,]+")),
    (_ENDS, re.compile(rf"(?i)({_WORD}\\?[\"']: ?\\?b?[\"']){_PLAIN}[^\s\"'\\]+")),  # in JSON
    (
        _ENDS,
        re.compile(
            rf"(?i)((?<![\w.-])(?!token: ?\S{{1,7}}(?:\s|$))[a-z0-9_-]{{0,40}}{_WORD}: ?){_PLAIN}"
            r"(?=[^\s\"',;]*[0-9!#%^*+=])[^\s\"',;]+"  # no word of a sentence
        ),
    ),
    (_ENDS, re.compile(rf"(?i)((?<![\w-])--?(?:[a-z]+-)*{_WORD}\s+)(?!-){_PLAIN}\S+")),  # an argument
    (
        ("authorization",),
        re.compile(rf"(?i)({_START}(?:proxy-)?authorization[\"']?\s*[:=]\s*b?[\"']?(?:[a-z]+ +)?)[^\s\"']{{4,}}"),
    ),
    (("cookie",), re.compile(rf"(?i)({_START}(?:set-)?cookie[\"']?\s*:\s*)\S.*")),
    (
        ("-token", "-api-key"),
        re.compile(
            rf"(?i)({_START}[a-z]+-(?:[a-z0-9]+-)*(?:token|api-key)[\"']?: ?b?[\"']?)(?!true|false)[^\s\"',]{{4,}}"
        ),
    ),
    (("header value",), re.compile(r"(?i)(header value:? ?)b?[\"'].*")),  # one that a library refuses to send
)
"""Shapes whose first group, the name of what follows, is kept. Each shape comes with
lower-case strings, one of which every match contains: looking for those takes a hundredth of the time."""
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
    r"([^h]|[^s]h)://[^/\s]*@|://[^/\s@:]*:[^/\s]*@|-----BEGIN [A-Z ]*PRIVATE KEY-----|\b(AKIA|ASIA)[A-Z0-9]{16}\b"
    r"|\b(IQoJb3JpZ2lu|FwoGZXIvYXdz)[A-Za-z0-9+/=]{16,}|\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\."
    r"|\b(gh[pousr]_|github_pat_|glpat-|xox[abeprs]-)[A-Za-z0-9_-]{16,}"
    r"|\b(npm_|hf_|AIza|sk-)[A-Za-z0-9]{20,}|\bsk-(proj|ant)-[A-Za-z0-9_-]{20,}"
    r"|[?&#;][A-Za-z0-9_.-]*(?i:token|secret|passwd|password|signature|credential|api[_-]?key|access[_-]?key)="
    r"|[?&#;](?i:sig|auth|pwd|pass|key|jwt)="
    r"|(?i:password|passwd|passphrase|token|api[_-]?key|access[_-]?key|secret[_-]?key|client[_-]?secret)=[^$/\s\"\\]"
    r"|(^|\")[A-Za-z][\w.-]*:[^\s/@\"]+@[\w.-]+(:[0-9]{1,5})?/?($|\")"
)
"""What no plain value may hold, however it is named, for the same two; the chart also looks for it in JSON."""
_BLOB = re.compile(
    r"(?<![A-Za-z0-9+=])(?=[A-Za-z0-9+=]*[a-z])(?=[A-Za-z0-9+=]*[A-Z])(?=[A-Za-z0-9+=]*[0-9])[A-Za-z0-9+=]{20,}"
)
"""A long run of small and capital letters and digits, without what separates the words of a path or a name."""
_BLOB_BITS = 3.8
"""Bits per character above which such a run counts as a key."""
_WORDS = re.compile(r"[A-Z]?[a-z]{3,}")
"""The words of a name in CamelCase, which make up half of it; of a random key, a fifth."""


def holds_secret(value: str) -> bool:
    """Whether a value has a secret's shape, whatever it is for."""
    return redact(value) != value


def looks_like_secret(name: str, value: str) -> bool:
    """Whether a named value is better passed by reference: by its name, a known shape, or its randomness."""
    if not value:
        return False
    if _NAME.search(name) or holds_secret(value):
        return True
    return any(_is_random(blob) for blob in _BLOB.findall(value))


def redact(text: str) -> str:
    """The text with everything of a secret's shape replaced by ``[redacted]``."""
    small = text.lower()
    for shapes, instead in ((_SHAPES, "[redacted]"), (_NAMED, r"\1[redacted]")):
        for traces, shape in shapes:
            if any(trace in small for trace in traces):
                text = shape.sub(instead, text)
    return text


def _is_random(text: str) -> bool:
    bits = -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values())
    return bits > _BLOB_BITS and sum(map(len, _WORDS.findall(text))) < len(text) / 2
