"""What botocore raises, in our own words and classes.

Its own words are never repeated: they can hold a header's value, and with it a token, or a proxy's password.
"""

from __future__ import annotations

import email.utils
import re
import socket
import ssl
import time
from urllib.parse import urlsplit

from botocore import exceptions as boto
from botocore.parsers import ResponseParserError

from atb.errors import NotFound, PreconditionFailed, StoreError, StoreSetting
from atb.storage.proxies import USER
from atb.storage.s3.failures import (
    Archived,
    ConditionsRejected,
    Conflict,
    ExpiredSession,
    NotS3,
    Unclear,
    not_kept,
    not_s3,
)
from atb.storage.s3.logins import (
    SETTINGS,
    TRANSIENT_CODES,
    code_of,
    explain_login,
    explain_setup,
    has_bad_header,
    is_login,
    modules_of,
)

_CREDENTIALS = {
    "AccessDenied": "the bucket's policy, or the user's, does not allow it",
    "AllAccessDisabled": "the account is closed",
    "ExpiredToken": "the session has expired: log in again, or renew the Secret, then continue with --resume",
    "ExpiredTokenException": "the session has expired: log in again, or renew the Secret, then continue with --resume",
    "TokenRefreshRequired": "the session has expired: log in again, or renew the Secret, then continue with --resume",
    "InvalidToken": "AWS_SESSION_TOKEN does not belong to this key: set all three from one login, or leave it out",
    "InvalidAccessKeyId": "the server does not know this key: look at AWS_ACCESS_KEY_ID and at --endpoint-url",
    "SignatureDoesNotMatch": "the secret key does not belong to this key: look at AWS_SECRET_ACCESS_KEY",
    "InvalidIdentityToken": "the identity provider does not know this account: look at the role's trust policy",
}
EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"})
_ARCHIVED = frozenset({"InvalidObjectState"})
"""What a lifecycle rule has moved to an archive, such as Glacier."""
_TOO_LARGE = frozenset({"EntityTooLarge", "MaxMessageLengthExceeded"})
_FULL = frozenset({"QuotaExceeded", "InsufficientStorage", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded"})
_REGION = frozenset(
    {"AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "PermanentRedirect", "TemporaryRedirect"}
)
_REGION_NAME = re.compile(r"[a-z0-9-]{1,40}")
_PLAIN = frozenset({401, 403, 404, 409, 412})
"""The statuses that mean what S3 means by them even where the answer has no words of S3."""
_CAUSES: tuple[tuple[type[Exception], str], ...] = (
    (boto.ProxyConnectionError, "the proxy did not let us through; look at HTTPS_PROXY and NO_PROXY"),
    (boto.ConnectTimeoutError, "no connection in time"),
    (boto.ReadTimeoutError, "no answer in time"),
    (boto.EndpointConnectionError, "no connection"),
    (boto.ConnectionClosedError, "the connection broke"),
    (boto.ResponseStreamingError, "the answer broke off"),
    (boto.IncompleteReadError, "the answer broke off"),
    (boto.ChecksumError, "the answer was altered on the way"),
    (boto.FlexibleChecksumError, "the answer was altered on the way"),
    (boto.CapacityNotAvailableError, "too many failures in a row"),
    (boto.HTTPClientError, "the connection broke"),
    (boto.ConnectionError, "no connection"),
)


def explain(error: Exception, url: str, bucket: str, key: str) -> StoreError | None:
    """The known failure that an exception of botocore or the operating system is; None for a bug."""
    modules = tuple(modules_of(error))
    if is_login(modules):
        return explain_login(error, url)
    if isinstance(error, boto.ClientError):
        return _explain_answer(error, url, bucket, key)
    if isinstance(error, ResponseParserError):
        return not_s3(url)
    if has_bad_header(error):
        return StoreSetting(
            f"store {url}: a credential holds a line break or another character that can't be sent, or the server "
            "sends us to an address with one; write the credentials without, or give the address as --endpoint-url"
        )
    if isinstance(error, boto.SSLError) and "CERTIFICATE_VERIFY_FAILED" not in str(error):
        return Unclear(f"store {url} did not answer for {key}: the encrypted connection broke; look with: atb doctor")
    if isinstance(error, boto.ProxyConnectionError) and "failed: 407" in str(error.kwargs.get("error")):
        return StoreSetting(f"store {url}: {USER}")
    if isinstance(error, boto.HTTPClientError) and isinstance(error.kwargs.get("error"), TypeError):
        # urllib3 follows a 303 to a page, and fails at botocore's headers
        return _explain_redirect(url, 303, {}, False)
    if isinstance(error, boto.BotoCoreError):
        for kind, words in SETTINGS:
            if isinstance(error, kind):
                return StoreSetting(f"store {url}: {words}")
        for kind, words in _CAUSES:
            if isinstance(error, kind):
                return Unclear(f"store {url} did not answer for {key}: {words}; look with: atb doctor")
        return explain_setup(error, url)
    if isinstance(error, ConnectionError | TimeoutError | socket.gaierror | ssl.SSLError):
        return Unclear(f"store {url} did not answer for {key}: the connection broke; look with: atb doctor")
    if isinstance(error, OSError) or not any(name.startswith(("boto", "s3transfer")) for name in modules):
        return None
    if isinstance(error, KeyError | ValueError):
        return not_s3(url)  # no such field or number in what answered
    return explain_setup(error, url)


def explain_client(error: Exception, url: str, bucket: str) -> StoreError:
    """What keeps botocore from making a client."""
    if isinstance(error, OSError) and error.filename:
        return StoreSetting(f"store {url}: {error.filename} can't be used: {error.strerror}")
    known = explain(error, url, bucket, "")
    return known if known is not None and not isinstance(known, NotS3) else explain_setup(error, url)


def _explain_answer(error: boto.ClientError, url: str, bucket: str, key: str) -> StoreError:
    code, metadata = code_of(error), error.response.get("ResponseMetadata", {})
    status, headers = int(metadata.get("HTTPStatusCode", 0)), metadata.get("HTTPHeaders", {})
    named, content = bool(code) and not code.isdigit(), str(headers.get("content-type", "")).lower()
    page = "html" in content
    if status in (507,) or code in _FULL:
        return StoreSetting(
            f"store {url} is full ({code or status}): free some space or raise its quota, then continue with --resume"
        )
    if (status == 501 and not page) or code == "NotImplemented":
        return ConditionsRejected(f"store {url} does not support the request for {key} ({code or status})")
    if status == 407:
        return StoreSetting(f"store {url}: {USER}")
    if status == 413 or code in _TOO_LARGE:
        return StoreSetting(
            f"store {url} does not take {key} ({code or status}): it is too large for the server, or for a proxy in "
            "front of it (nginx: client_max_body_size); raise that limit, then continue with --resume"
        )
    if page and code in ("", "500"):  # botocore calls a page that came with 200 a 500
        return not_s3(url)
    if status >= 500 or status in (408, 429) or code in TRANSIENT_CODES:
        return Unclear(f"store {url} did not answer for {key} ({code or status}); look with: atb doctor")
    if code == "RequestTimeTooSkewed":
        return StoreSetting(f"store {url}: this machine's clock is {_skew(headers)}; set it (NTP), then try again")
    if code in _REGION or 300 <= status < 400:
        return _explain_redirect(url, status, headers, code in _REGION)
    if page or (not named and (status not in _PLAIN or (status == 404 and content and "xml" not in content))):
        return not_s3(url)
    if code == "NoSuchUpload":  # its first parts are gone: it begins anew
        return not_kept(url, key)
    if code == "NoSuchBucket":
        return StoreSetting(f"store {url}: there is no bucket {bucket}; create it or name another --store")
    if status == 404:
        return NotFound(f"no object {key} in {url}")
    if status == 412:
        return PreconditionFailed(f"{key} in {url}: someone else was first")
    if status == 409:
        return Conflict(f"store {url} has a conflict on {key}")
    if error.operation_name == "GetObject" and (code in _ARCHIVED or code.startswith("KMS.")):
        remedy = "the key that it is encrypted with can't be used" if code not in _ARCHIVED else "restore it first"
        return Archived(f"{key} in {url} can't be read ({code}): {remedy}")
    if status in (401, 403) or code in _CREDENTIALS:
        kind = ExpiredSession if code in EXPIRED else StoreSetting
        remedy = _CREDENTIALS.get(code, "check the credentials and the bucket's policy")
        return kind(f"store {url} refused {key} ({code or status}): {remedy}")
    return StoreSetting(
        f"store {url} refused {key} ({code or status}): look at the bucket's settings, and with: atb doctor"
    )


def _explain_redirect(url: str, status: int, headers: dict[str, str], elsewhere: bool) -> StoreSetting:
    """``elsewhere``: the server says that the bucket is in another region."""
    region = str(headers.get("x-amz-bucket-region", ""))
    if _REGION_NAME.fullmatch(region):
        return StoreSetting(f"store {url}: the bucket is in {region}; set AWS_REGION={region}")
    if elsewhere:
        return StoreSetting(f"store {url}: the bucket is in another region; set AWS_REGION to the bucket's")
    try:
        target = urlsplit(str(headers.get("location", "")))
        place = f"to {target.scheme}://{target.hostname}" if target.scheme and target.hostname else "to another page"
    except ValueError:
        place = "to another page"
    return StoreSetting(
        f"store {url}: the server redirects ({status}) {place}; give the address of the S3 API as --endpoint-url"
    )


def _skew(headers: dict[str, str]) -> str:
    try:
        off = time.time() - email.utils.parsedate_to_datetime(str(headers.get("date", ""))).timestamp()
    except ValueError:
        return "wrong"
    return f"{abs(off):,.0f} s {'ahead' if off > 0 else 'behind'}"
