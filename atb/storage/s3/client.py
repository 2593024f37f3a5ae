"""The way to an S3 server: one credential chain, no retries but our own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from atb.errors import SpecError, StoreSetting
from atb.storage.s3 import errors as failures

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def connect(url: str, bucket: str, endpoint_url: str | None) -> tuple[boto3.session.Session, S3Client]:
    """A session and its client. Raises SpecError, StoreError for what can't be used."""
    _validate_endpoint(endpoint_url)
    options: dict[str, Any] = {}
    if endpoint_url:
        # S3-compatible servers may not know the checksums that boto3 sends by default since 1.36
        options = {
            "request_checksum_calculation": "when_required",
            "response_checksum_validation": "when_required",
            "s3": {"addressing_style": "path"},
        }
    try:
        session = boto3.session.Session()
        client = session.client(
            "s3",
            endpoint_url=endpoint_url,
            region_name=session.region_name or "us-east-1",
            config=Config(
                retries={"mode": "standard", "total_max_attempts": 1},  # we retry, and know when a write was tried
                connect_timeout=5,
                read_timeout=60,
                max_pool_connections=32,
                **options,
            ),
        )
    except BotoCoreError as error:
        raise failures.explain(error, url, bucket, "") or error from None
    except OSError as error:
        raise StoreSetting(
            f"store {url}: {error.filename or 'a configuration file'} can't be read: {error.strerror}"
        ) from None
    except ValueError:  # botocore's words hold the address
        raise StoreSetting(f"store {url}: the endpoint or the region can't be used; look with: atb doctor") from None
    client.meta.events.register("before-call.s3.HeadBucket", _follow_no_redirect)
    return session, client


def _follow_no_redirect(params: dict[str, Any], **_: Any) -> None:
    """For finding a bucket's region: a server that redirects every request would loop forever."""
    params["context"].setdefault("s3_redirect", {})["redirected"] = True


def _validate_endpoint(endpoint_url: str | None) -> None:
    """Raises SpecError for an invalid address, or one that holds a password."""
    if endpoint_url is None:
        return
    try:
        parts = urlsplit(endpoint_url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise SpecError("the endpoint's address can't be read; write http://HOST:PORT or https://HOST") from None
    if "@" in parts.netloc:
        raise SpecError(
            "the endpoint's address holds a user or a password; leave them out, and set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY"
        )
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
        raise SpecError(f"{endpoint_url!r} is not an endpoint's address; write http://HOST:PORT or https://HOST")
