"""The signature of a request that reads: AWS Signature Version 4, for a GET without a body.

https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

from __future__ import annotations

import hashlib
import hmac
import time
from typing import Any
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}
_NO_BODY = hashlib.sha256(b"").hexdigest()


class Signer:
    """Writes requests to one server. ``credentials`` are those of a boto3 session. Safe to share between threads."""

    def __init__(self, address: str, region: str, credentials: Any) -> None:
        parts = urlsplit(address)
        port = f":{_DEFAULT_PORTS.get(parts.scheme)}"
        self._host, self._root = parts.netloc.removesuffix(port), parts.path.rstrip("/")
        self._region, self._credentials = region, credentials
        self._key: tuple[tuple[str, str], bytes] = ("", ""), b""
        """A day and a secret, and the key that is derived from both."""

    def sign(self, path: str, query: str = "", now: float | None = None) -> bytes:
        """A whole request. ``path`` and ``query`` are encoded, and the query is in the order of its names.

        Raises ValueError where a credential can't be part of a header.
        """
        known = self._credentials.get_frozen_credentials()
        at = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
        headers = {"host": self._host, "x-amz-content-sha256": _NO_BODY, "x-amz-date": at}
        if known.token:
            headers["x-amz-security-token"] = known.token
        names = ";".join(headers)
        lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
        target = f"{self._root}{path}"
        canonical = f"GET\n{target}\n{query}\n{lines}\n{names}\n{_NO_BODY}"
        scope = f"{at[:8]}/{self._region}/s3/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{at}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        signature = hmac.digest(self._derive_key(at[:8], known.secret_key), text.encode(), "sha256").hex()
        headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={known.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
        )
        if not all(value.isascii() and value.isprintable() for value in (target, query, *headers.values())):
            raise ValueError("a header holds a character that can't be sent")
        whole = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"GET {target}{'?' if query else ''}{query} HTTP/1.1\r\n{whole}\r\n".encode("ascii")

    def _derive_key(self, day: str, secret: str) -> bytes:
        known, key = self._key
        if known != (day, secret):
            key = f"AWS4{secret}".encode()
            for part in (day, self._region, "s3", "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._key = (day, secret), key
        return key
