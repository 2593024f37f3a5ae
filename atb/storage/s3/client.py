"""The way to an S3 server: one credential chain, no retries but our own."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import Credentials, RefreshableCredentials
from botocore.exceptions import BotoCoreError

from atb.errors import SpecError, StoreSetting
from atb.storage.proxies import bypasses_proxy, proxy_of, proxy_problem
from atb.storage.s3.errors import explain_client
from atb.storage.s3.links import SILENCE_SECONDS

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def configured_endpoint() -> str | None:
    """The server that the variables or ~/.aws/config name, so that it is ours in every way: with our settings for such
    servers, in messages and in Pods. None for AWS, or where the configuration can't be read, which connect reports."""
    if named := os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL"):
        return named
    session = botocore.session.get_session()
    try:
        if session.get_config_variable("ignore_configured_endpoint_urls"):
            return None
        profile = session.get_scoped_config()
        services = session.full_config.get("services", {}).get(profile.get("services"), {})
        return services.get("s3", {}).get("endpoint_url") or profile.get("endpoint_url") or None
    except (BotoCoreError, AttributeError, TypeError, ValueError):
        return None


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
        if bypasses_proxy(endpoint_url):
            options["proxies"] = {}
    try:
        session = boto3.session.Session(region_name=os.environ.get("AWS_REGION") or None)  # boto3 has an older name
        client = session.client(
            "s3",
            endpoint_url=endpoint_url,
            region_name=session.region_name or "us-east-1",
            config=Config(
                retries={"mode": "standard", "total_max_attempts": 1},  # we retry, and know when a write was tried
                connect_timeout=5,
                read_timeout=SILENCE_SECONDS,
                max_pool_connections=32,
                **options,
            ),
        )
        credentials = session.get_credentials()
    except Exception as error:  # of botocore, which reads files, variables and what commands print
        raise explain_client(error, url, bucket) from None
    _validate_credentials(credentials, url)
    made: Any = client
    if (proxy := proxy_of(client.meta.endpoint_url)) and (problem := proxy_problem(proxy)):
        raise StoreSetting(f"store {url}: {problem}")
    _validate_bundle(made._endpoint.http_session._verify, url)
    client.meta.events.register("before-call.s3.HeadBucket", _follow_no_redirect)
    return session, client


def hurry(session: boto3.session.Session, client: S3Client, endpoint_url: str | None, silence: float) -> S3Client:
    """The same client, which waits for ``silence`` seconds at most between two bytes. ``endpoint_url``: as it was made
    with."""
    config = client.meta.config.merge(Config(read_timeout=silence))
    made = session.client("s3", endpoint_url=endpoint_url, region_name=client.meta.region_name, config=config)
    made.meta.events.register("before-call.s3.HeadBucket", _follow_no_redirect)
    return made


def _follow_no_redirect(params: dict[str, Any], **_: Any) -> None:
    """For finding a bucket's region: a server that redirects every request would loop forever."""
    params["context"].setdefault("s3_redirect", {})["redirected"] = True


def _validate_credentials(credentials: Credentials | None, url: str) -> None:
    """Raises StoreSetting where one can't be part of a header; those that are renewed are looked at when sent."""
    if credentials is None or isinstance(credentials, RefreshableCredentials):
        return
    parts = {"key": credentials.access_key, "secret": credentials.secret_key, "session token": credentials.token}
    for name, value in parts.items():
        if value and not (str(value).isascii() and str(value).isprintable() and " " not in str(value)):
            raise StoreSetting(
                f"store {url}: the {name} of the credentials holds a space, a line break or another character that "
                "can't be sent; write it without"
            )


def _validate_bundle(verify: object, url: str) -> None:
    """Raises StoreSetting for certificates that can't be read."""
    if not isinstance(verify, str | Path):
        return
    try:
        ssl.create_default_context(cafile=verify)  # botocore takes a directory for a file too
    except (OSError, ValueError):
        raise StoreSetting(
            f"store {url}: {verify} holds no certificates that can be read; look at AWS_CA_BUNDLE, REQUESTS_CA_BUNDLE "
            "and ca_bundle in ~/.aws/config"
        ) from None


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
    if parts.query or parts.fragment:
        raise SpecError("the endpoint's address has more after ? or #; write http://HOST:PORT or https://HOST")
    if parts.scheme not in ("http", "https") or not host:
        raise SpecError(f"{endpoint_url!r} is not an endpoint's address; write http://HOST:PORT or https://HOST")
