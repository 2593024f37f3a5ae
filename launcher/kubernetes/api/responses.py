"""What the API server's answers mean: lines, times and errors. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any

from pydantic_core import from_json

from atb.contract.names import decimal_number
from atb.redaction import redact
from atb.schema import printable
from atb.storage.proxies import LOOK, USER
from launcher.kubernetes.api.requests import ApiError, Call

_LONGEST_MESSAGE = 1000


def split_lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Lines of a stream of bytes without their ends; what follows the last newline is a line too."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line for line in lines if line)
    if rest:
        yield rest


def parse_json(data: bytes) -> Any:
    """What the data holds. Only the names of fields are shared in memory: little of an object is kept, and looking up
    each of its texts takes nearly as long as all the rest. Raises ValueError."""
    return from_json(data, cache_strings="keys")


@lru_cache(4096)
def parse_time(text: str) -> float:
    """Seconds since 1970 of an RFC 3339 time as Kubernetes writes it. Objects carry the same few again and again."""
    return datetime.fromisoformat(text).timestamp()


def format_time(at: float) -> str:
    """RFC 3339 in UTC, whole seconds."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_date(text: str) -> float | None:
    """Seconds since 1970 of a Date header; None where it is none."""
    try:
        return parsedate_to_datetime(text).timestamp()
    except ValueError:
        return None


def parse_answer(host: str, call: Call, data: bytes) -> dict[str, Any]:
    """The object that the server answered. Raises ApiError for what is none, as a web page."""
    try:
        found = parse_json(data)
    except ValueError:
        found = None
    if isinstance(found, dict) and (found.keys() & {"kind", "metadata"} or call.path == "/version"):
        return found
    raise ApiError.by_another(f"{host} answered {call.path} with something other than an object of Kubernetes")


def read_change(resource: str, change: Any) -> tuple[str, dict[str, Any]]:
    """A change in a watch: its type and the object, which has a version, and a name unless it is a bookmark. Raises
    ApiError for an ERROR, 410 among them, whose HTTP status was 200; KeyError and TypeError for what is no change."""
    kind, item = change["type"], change["object"]
    if kind == "ERROR":
        message = printable(redact(f"the watch of {resource} ended: {item.get('message', '')}"), _LONGEST_MESSAGE)
        raise ApiError(message, int(item.get("code") or 500), item.get("reason", ""))
    for name in ("resourceVersion",) if kind == "BOOKMARK" else ("resourceVersion", "name"):
        if not isinstance(item["metadata"][name], str):
            raise TypeError(f"its {name} is no text")
    return kind, item


def read_words(text: str | None) -> str:
    """What others say, on one line and without what looks like a secret."""
    return redact(" ".join(text.split())) if text else ""


def error_from(call: Call, status: int, headers: Any, body: bytes) -> ApiError:
    """The error for a status of 300 and above, in the server's words; whatever is not of Kubernetes is one with its
    HTTP status, as only that can be relied on."""
    try:
        answer = json.loads(body.decode("utf-8", "replace"))
        message, reason = str(answer.get("message") or ""), str(answer.get("reason") or "")
    except (ValueError, AttributeError, RecursionError):
        answer, message, reason = None, "", ""
    page = not message and b"<" in body[:200]
    if status == 407:
        message = USER  # no word of a proxy: it may repeat what it was sent
    if not message:
        text = "" if page else printable(read_words(body.decode("utf-8", "replace")), 200)
        message = f"HTTP {status}{': a web page' if page else f': {text}' if text else ''}"
    message = f"{call.method} {call.path}: {printable(read_words(message), _LONGEST_MESSAGE)}"
    if (page and status != 401 and status < 500) or 300 <= status < 400:
        return ApiError.by_another(message)
    retry_after = decimal_number(headers.get("Retry-After") or "")
    return ApiError(message, status, reason, retry_after, answer)


def brief(error: BaseException) -> str:
    """An error in one short line. A proxy's own words are left out: they may repeat what it was sent."""
    words = " ".join(str(error).split())
    if "Tunnel connection failed: " in words:
        return USER if "failed: 407" in words else f"the proxy did not let us through; {LOOK}"
    return printable(redact(words), 200) or type(error).__name__


def wrong_setting(error: BaseException) -> str:
    """What has to be changed before another try can end better; empty where nothing is known."""
    words = str(error)
    if "CERTIFICATE_VERIFY_FAILED" in words:
        return (
            "its certificate is not trusted: name its authority in the kubeconfig (certificate-authority), or in "
            "SSL_CERT_FILE where a proxy decrypts connections"
        )
    return USER if "Tunnel connection failed: 407" in words else ""
