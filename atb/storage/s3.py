"""A store in a bucket, through boto3: one credential chain, one retry policy, conditions as S3 has them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from atb.errors import NotFound, PreconditionFailed, SpecError, StoreError
from atb.storage.store import Entry

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_CONFLICT_WAITS = (0.1, 0.3, 1.0, 3.0)
"""Seconds before each retry of 409: two conditional writes met, and neither has lost yet."""

_T = TypeVar("_T")


class S3Store:
    """Keys below ``s3://bucket/prefix``. Safe to share between threads."""

    def __init__(self, url: str, endpoint_url: str | None = None) -> None:
        bucket, _, prefix = url.removeprefix("s3://").partition("/")
        if not bucket:
            raise SpecError(f"store {url!r} names no bucket; write s3://bucket/prefix")
        self.url = url.rstrip("/")
        self.endpoint_url = endpoint_url or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        options: dict[str, Any] = {}
        if self.endpoint_url:
            # S3-compatible servers may not know the checksums that boto3 sends by default since 1.36
            options = {
                "request_checksum_calculation": "when_required",
                "response_checksum_validation": "when_required",
                "s3": {"addressing_style": "path"},
            }
        self._session = boto3.session.Session()
        self._client: S3Client = self._session.client(
            "s3",
            endpoint_url=self.endpoint_url,
            region_name=self._session.region_name or "us-east-1",
            config=Config(
                retries={"mode": "standard", "total_max_attempts": 5},
                connect_timeout=5,
                read_timeout=60,
                max_pool_connections=32,
                **options,
            ),
        )
        self._transfer = TransferConfig(use_threads=False)

    def get(self, key: str) -> bytes:
        return self.get_with_etag(key)[0]

    def get_with_etag(self, key: str) -> tuple[bytes, str]:
        def call() -> tuple[bytes, str]:
            answer = self._client.get_object(Bucket=self._bucket, Key=self._key(key))
            return answer["Body"].read(), answer["ETag"]

        return self._call(key, call)

    def put(self, key: str, data: bytes) -> str:
        return self._put(key, data, {})

    def put_if_absent(self, key: str, data: bytes) -> str:
        return self._put(key, data, {"IfNoneMatch": "*"})

    def put_if_match(self, key: str, data: bytes, etag: str) -> str:
        try:
            return self._put(key, data, {"IfMatch": etag})
        except NotFound:
            raise PreconditionFailed(f"{key} is gone from {self.url}") from None

    def list(self, prefix: str) -> Iterator[Entry]:
        for page in self._pages(prefix, {}):
            for item in page.get("Contents", []):
                yield Entry(item["Key"][len(self._prefix) :], item["Size"], item["ETag"], item["LastModified"])

    def folders(self, prefix: str) -> Iterator[str]:
        for page in self._pages(prefix, {"Delimiter": "/"}):
            for item in page.get("CommonPrefixes", []):
                yield item["Prefix"][len(self._prefix) + len(prefix) :].rstrip("/")

    def _pages(self, prefix: str, options: dict[str, Any]) -> Iterator[Any]:
        while True:

            def call(options: dict[str, Any] = options) -> Any:
                return self._client.list_objects_v2(Bucket=self._bucket, Prefix=f"{self._prefix}{prefix}", **options)

            page = self._call(prefix, call)
            yield page
            if not page.get("IsTruncated"):
                return
            options = {**options, "ContinuationToken": page["NextContinuationToken"]}

    def delete(self, key: str) -> None:
        self._call(key, lambda: self._client.delete_object(Bucket=self._bucket, Key=self._key(key)))

    def put_file(self, key: str, path: Path) -> str:
        def call() -> str:
            self._client.upload_file(str(path), self._bucket, self._key(key), Config=self._transfer)
            return self._client.head_object(Bucket=self._bucket, Key=self._key(key))["ETag"]

        return self._call(key, call)

    def get_file(self, key: str, path: Path) -> None:
        # download_file writes to a temporary name beside the target and renames it
        self._call(
            key, lambda: self._client.download_file(self._bucket, self._key(key), str(path), Config=self._transfer)
        )

    def identity(self) -> str:
        try:
            credentials = self._session.get_credentials()
        except BotoCoreError as error:
            raise StoreError(f"no credentials for {self.url}: {error}") from None
        if credentials is None:
            return "nobody (no credentials found)"
        return f"access key {credentials.access_key[:4]}… from {credentials.method}"

    def _key(self, key: str) -> str:
        if not key or key.startswith("/") or "//" in key:
            raise SpecError(f"{key!r} is not a key")
        return f"{self._prefix}{key}"

    def _put(self, key: str, data: bytes, condition: dict[str, Any]) -> str:
        def call() -> str:
            return self._client.put_object(Bucket=self._bucket, Key=self._key(key), Body=data, **condition)["ETag"]

        for wait in _CONFLICT_WAITS:
            try:
                return self._call(key, call)
            except _Conflict:
                time.sleep(wait)
        return self._call(key, call)

    def _call(self, key: str, call: Callable[[], _T]) -> _T:
        try:
            return call()
        except ClientError as error:
            raise self._explain(key, error) from None
        except (BotoCoreError, OSError) as error:
            raise StoreError(f"store {self.url} did not answer for {key}: {error}; look with: atb doctor") from None
        except Exception as error:
            if type(error).__module__.startswith(("boto3.", "s3transfer.")):  # upload_file wraps what it met
                raise StoreError(f"store {self.url} refused {key}: {error}") from None
            raise

    def _explain(self, key: str, error: ClientError) -> StoreError:
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        if code == "NoSuchBucket":
            return StoreError(f"store {self.url}: there is no bucket {self._bucket}; create it or name another --store")
        if status == 404:
            return NotFound(f"no object {key} in {self.url}")
        if status == 412:
            return PreconditionFailed(f"{key} in {self.url}: someone else was first")
        if status == 409:
            return _Conflict(f"store {self.url} has a conflict on {key}")
        if status in (401, 403):
            return StoreError(
                f"store {self.url} refused {key} ({code}) to {self.identity()}; "
                "check the credentials and the bucket's policy"
            )
        return StoreError(f"store {self.url} refused {key}: {code or status}")


class _Conflict(StoreError):
    """Two conditional writes met; try again."""
