"""A store in a bucket, through boto3: one credential chain, one retry policy, conditions as S3 has them."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig

from atb.errors import NotFound, PreconditionFailed, SpecError, StoreError
from atb.patience import Patience
from atb.storage.s3 import answers, failures
from atb.storage.s3.client import configured_endpoint, connect, hurry
from atb.storage.s3.errors import explain
from atb.storage.s3.lean import Page
from atb.storage.s3.links import Connect, Hurry, Link, Links
from atb.storage.store import LARGEST, Entry, too_large
from atb.storage.url import Bucket, locate_store

PATIENCE_SECONDS = 600.0
"""How long a store that has answered before is waited for."""
FIRST_SECONDS = 10.0
"""How long a store that has never answered is waited for: its address may be wrong."""
_ONE_REQUEST = 8 << 20
"""Bytes: smaller files are written as objects are. The transfer of larger ones in parts takes another request, to ask
for the etag."""
_TRANSFER = TransferConfig(use_threads=False)

_T = TypeVar("_T")


class S3Store:
    """Keys below ``s3://bucket/prefix``. Safe to share between threads.

    Transient failures are retried, for ``first_seconds`` where the store has never answered, else for PATIENCE_SECONDS.
    A conditional write whose answer was lost is read back: what is there and is ours counts as written. Content is
    compared with the digest it was written with.
    """

    def __init__(
        self,
        url: str,
        endpoint_url: str | None = None,
        *,
        first_seconds: float = FIRST_SECONDS,
        connect: Connect = connect,
        hurry: Hurry = hurry,
        waits: Patience = Patience(FIRST_SECONDS),  # noqa: B008  frozen
        concurrency: int = 16,
    ) -> None:
        place = locate_store(url)
        assert isinstance(place, Bucket)
        self.url = url.rstrip("/")
        self.endpoint_url = endpoint_url or configured_endpoint()
        self.on_wait: Callable[[str], None] = lambda words: None
        self.rejects_conditions, self.concurrency = False, concurrency
        self._bucket, self._prefix, self._waits = place.name, place.prefix, waits
        self._patience: Patience | None = None
        self._first, self._later = replace(waits, seconds=first_seconds), replace(waits, seconds=PATIENCE_SECONDS)
        once = partial(connect, self.url, place.name, self.endpoint_url)
        self._links = Links(once, hurry, place.name, self.endpoint_url)

    @property
    def _link(self) -> Link:
        return self._links.of(patient=self._patience is None, stopped=bool(self._waits.interrupt.count))

    def within(self, seconds: float) -> S3Store:
        other = object.__new__(type(self))  # copy.copy takes four times as long, and every beat of a claim needs one
        vars(other).update(vars(self))
        bound = seconds if self._patience is None else min(seconds, self._patience.seconds)
        other._patience = replace(self._waits, seconds=bound)
        other.on_wait = lambda words: None
        return other

    def get(self, key: str) -> bytes:
        return self.get_with_etag(key)[0]

    def get_with_etag(self, key: str) -> tuple[bytes, str]:
        with failures.of_object(key):
            return self._call(key, lambda: self._read(key))

    def put(self, key: str, data: bytes) -> str:
        return self._put(key, data, {})

    def put_if_absent(self, key: str, data: bytes) -> str:
        try:
            return self._put(key, data, {"IfNoneMatch": "*"})
        except failures.ConditionsRejected:
            self.rejects_conditions = True
        if any(entry.key == key for entry in self.list(key)):
            raise PreconditionFailed(f"{key} in {self.url}: someone else was first")
        return self._put(key, data, {})

    def put_if_match(self, key: str, data: bytes, etag: str) -> str:
        try:
            return self._put(key, data, {"IfMatch": etag})
        except failures.ConditionsRejected:
            self.rejects_conditions = True
        except NotFound:
            raise PreconditionFailed(f"{key} is gone from {self.url}") from None
        if all(entry.etag != etag for entry in self.list(key) if entry.key == key):
            raise PreconditionFailed(f"{key} in {self.url}: someone else was first")
        return self._put(key, data, {})

    def list(self, prefix: str) -> Iterator[Entry]:
        token, more = None, True
        while more:
            entries, token = self._read_page(prefix, token)
            yield from (entry for entry in entries if answers.is_key(entry.key))
            more = token is not None

    def _read_page(self, prefix: str, token: str | None) -> Page:
        start, whole = len(self._prefix), f"{self._prefix}{prefix}"

        def call() -> Page:
            lean = self._link.lean
            if lean is not None and (found := lean.list_page(whole, token, start)) is not None:
                return found
            page = self._list_objects(prefix, {} if token is None else {"ContinuationToken": token})
            return answers.entries_of(page, start), answers.next_token(page)

        return self._call(prefix, call)

    def folders(self, prefix: str) -> Iterator[str]:
        options: dict[str, str] = {"Delimiter": "/"}
        while options:
            page = self._call(prefix, partial(self._list_objects, prefix, options))
            for item in page.get("CommonPrefixes", []):
                if name := item["Prefix"][len(self._prefix) + len(prefix) :].rstrip("/"):
                    yield name
            token = answers.next_token(page)
            options = {"Delimiter": "/", "ContinuationToken": token} if token is not None else {}

    def _list_objects(self, prefix: str, options: dict[str, str]) -> Any:
        """One try."""
        page: Any = self._link.client.list_objects_v2(Bucket=self._bucket, Prefix=f"{self._prefix}{prefix}", **options)
        answers.validate_page(page, options.get("ContinuationToken"), self.url)
        return page

    def delete(self, key: str) -> None:
        with contextlib.suppress(NotFound):
            self._delete(key)

    def _delete(self, key: str, **condition: str) -> None:
        def call() -> None:
            answer = self._link.client.delete_object(Bucket=self._bucket, Key=self._key(key), **condition)
            answers.validate_no_page(answer, self.url)

        self._call(key, call)

    def delete_if_match(self, key: str, etag: str) -> None:
        if all(entry.etag != etag for entry in self.list(key) if entry.key == key):
            raise PreconditionFailed(f"{key} in {self.url}: someone else was first")
        try:
            self._delete(key, IfMatch=etag)
        except failures.ConditionsRejected:  # many servers ignore it, so it is compared before
            self.delete(key)
        except NotFound:  # by an earlier try
            return

    def put_file(self, key: str, path: Path) -> str:
        if path.stat().st_size < _ONE_REQUEST:
            return self.put(key, path.read_bytes())
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        extra, place = {"Metadata": {answers.DIGEST: digest}}, {"Bucket": self._bucket, "Key": self._key(key)}

        def call() -> str:
            self._link.client.upload_file(str(path), **place, Config=_TRANSFER, ExtraArgs=extra)
            ask = partial(self._link.client.head_object, **place)
            try:
                return answers.etag_of_upload(self._translate(key, ask), digest, key, self.url)
            except NotFound:
                raise failures.not_kept(self.url, key) from None

        return self._call(key, call)

    def get_file(self, key: str, path: Path, *, damaged: bool = False) -> str:
        unfinished = path.with_name(f".{path.name}.{os.getpid()}")

        def call() -> str:
            answer, digest = self._link.client.get_object(Bucket=self._bucket, Key=self._key(key)), hashlib.sha256()
            with contextlib.closing(answer["Body"]) as body, unfinished.open("wb") as file:
                etag = answers.etag_of_read(answer, key, self.url)
                for chunk in body.iter_chunks(1 << 20):
                    digest.update(chunk)
                    file.write(chunk)
            if not damaged:
                answers.validate_content(answer.get("Metadata", {}), digest.hexdigest(), key, self.url)
            return etag

        try:
            with failures.of_object(key):
                etag = self._call(key, call)
            os.replace(unfinished, path)
            return etag
        finally:
            unfinished.unlink(missing_ok=True)

    def identity(self) -> str:
        def identify() -> str:
            if (credentials := self._links.session.get_credentials()) is None:
                return "nobody (no credentials found)"
            return f"access key {str(credentials.access_key)[:4]}… from {credentials.method}"

        return self._translate("", identify)

    def _key(self, key: str) -> str:
        if not answers.is_key(key):
            raise SpecError(f"{key!r} is not a key")
        return f"{self._prefix}{key}"

    def _read(self, key: str) -> tuple[bytes, str]:
        """One try."""
        lean = self._link.lean
        try:
            plain = lean.get(self._key(key)) if lean else None
        except NotFound:
            raise NotFound(f"no object {key} in {self.url}") from None
        if plain is not None:
            answers.validate_content(plain.metadata, hashlib.sha256(plain.data).hexdigest(), key, self.url)
            return plain.data, plain.etag
        answer = self._link.client.get_object(Bucket=self._bucket, Key=self._key(key))
        if (size := int(answer.get("ContentLength", 0))) > LARGEST:
            answer["Body"].close()
            raise too_large(key, self.url, size)
        data = answer["Body"].read()
        etag = answers.etag_of_read(answer, key, self.url)
        answers.validate_content(answer.get("Metadata", {}), hashlib.sha256(data).hexdigest(), key, self.url)
        return data, etag

    def _put(self, key: str, data: bytes, condition: dict[str, Any]) -> str:
        metadata = {answers.DIGEST: hashlib.sha256(data).hexdigest()}
        request: dict[str, Any] = {"Key": self._key(key), "Body": data, "Metadata": metadata, **condition}
        unclear = False
        """Whether an earlier try may have been applied although its answer was lost."""

        def call() -> str:
            nonlocal unclear
            try:
                return self._translate(
                    key, lambda: answers.etag_of(self._link.client.put_object(Bucket=self._bucket, **request), self.url)
                )
            except (failures.Unclear, failures.NotS3):
                unclear = True
                raise
            except PreconditionFailed:
                if not unclear:
                    raise
                found, etag = self._translate(key, lambda: self._read(key))
                if found != data:
                    raise
                return etag

        return self._call(key, call)

    def _call(self, key: str, call: Callable[[], _T]) -> _T:
        links, stopped = self._links, self._waits.interrupt.count
        wait = self._patience or (self._later if links.answered else self._first)
        wait = replace(wait, seconds=0.0) if stopped and links.away else wait
        try:
            return wait.persist(lambda: self._send(key, call), lambda words: self.on_wait(words), f"store {self.url}")
        except StoreError as error:
            links.away = bool(stopped and error.retry_seconds)
            raise

    def _send(self, key: str, call: Callable[[], _T]) -> _T:
        """One try, its failure in our own classes; with new credentials where the old ones have just expired."""
        used = self._link
        try:
            value = self._translate(key, call)
        except failures.ExpiredSession:
            self._links.renew(used)
            value = self._translate(key, call)
        self._links.answered, self._links.away = True, False
        return value

    def _translate(self, key: str, call: Callable[[], _T]) -> _T:
        try:
            return call()
        except StoreError:
            raise
        except Boto3Error as error:  # upload_file wraps what it met
            raise explain(error.__context__ or error, self.url, self._bucket, key) or error from None  # type: ignore[arg-type]
        except Exception as error:
            # no local name for it: its traceback holds this frame, and the two would wait for the garbage collector
            raise self._explained(error, key) from None

    def _explained(self, error: Exception, key: str) -> Exception:
        known = explain(error, self.url, self._bucket, key)
        if known is not None and not isinstance(known, failures.Transient | failures.NotS3):
            self._links.answered = True
        return known or error
