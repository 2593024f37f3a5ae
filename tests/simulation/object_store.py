# ruff: noqa: N803  the names of arguments are boto3's
"""An object store as S3 has it, below the store's own client: delays, errors, lost answers after the effect."""

from __future__ import annotations

import bisect
import hashlib
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from botocore.exceptions import ClientError, ConnectionClosedError

from atb.patience import Interrupt, Patience
from atb.storage.s3 import S3Store
from tests.simulation.kernel import START, Kernel, Killed, Process, VirtualClock

_T = TypeVar("_T")


@dataclass
class StoreFaults:
    """Chances for each request, and spans of time in which nothing goes well."""

    error: float = 0.0
    lost: float = 0.0
    slow: float = 0.0
    outages: list[tuple[float, float]] = field(default_factory=list)
    ignores_if_none_match: bool = False
    ignores_if_match: bool = False


class ObjectStore:
    """The bucket. Every write is passed to ``on_write``, which may raise."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.faults = StoreFaults()
        self.objects: dict[str, tuple[bytes, dict[str, Any], str, dict[str, str]]] = {}
        """Content, what a listing says, etag and metadata."""
        self.spoiled: set[str] = set()
        """What somebody has damaged, until it is written again."""
        self._keys: list[str] = []
        self.requests = 0
        self.writes = 0
        self.on_write: Callable[[str, bytes | None, bytes], None] = lambda key, old, new: None
        self.on_remove: Callable[[str, str, bytes, float], None] = lambda process, key, data, age: None
        """Told of each object that a process removes, and how many seconds after it was written."""
        self.fate_of: Callable[[Process, int, str], str] = lambda process, number, key: ""
        """What comes of a process's n-th write: it dies "before" or "after" it, or its answer is "lost"."""

    def put(
        self,
        key: str,
        data: bytes,
        metadata: dict[str, str] | None = None,
        *,
        absent: bool = False,
        match: str | None = None,
    ) -> str:
        """Write, if the condition holds. Raises ClientError 412."""
        old = self.objects.get(key)
        probed = key.startswith("probes/")  # which would tell
        overwrites = absent and old is not None and (probed or not self.faults.ignores_if_none_match)
        undoes = match is not None and (old is None or old[2] != match) and (probed or not self.faults.ignores_if_match)
        if overwrites or undoes:
            raise _answer(412, "PreconditionFailed")
        self.on_write(key, old[0] if old else None, data)
        self.spoiled.discard(key)
        etag = hashlib.md5(data, usedforsecurity=False).hexdigest()
        if old is None:
            bisect.insort(self._keys, key)
        line = {"Key": key, "Size": len(data), "ETag": etag, "LastModified": _moment(self.kernel.time)}
        self.objects[key] = (bytes(data), line, etag, dict(metadata or {}))
        return etag

    def remove(self, key: str, process: str) -> None:
        """Remove an object, if it is there."""
        if (old := self.objects.pop(key, None)) is not None:
            self.spoiled.discard(key)
            del self._keys[bisect.bisect_left(self._keys, key)]
            self.on_remove(process, key, old[0], START + self.kernel.time - old[1]["LastModified"].timestamp())

    def spoil(self, key: str) -> None:
        """Cut an object in half, as nobody should."""
        self.spoiled.add(key)
        data, line, _, _ = self.objects[key]
        half = data[: len(data) // 2]
        etag = hashlib.md5(half, usedforsecurity=False).hexdigest()
        self.objects[key] = (half, {**line, "Size": len(half), "ETag": etag}, etag, {})

    def below(self, prefix: str) -> list[str]:
        """The keys that begin so, in order."""
        first = bisect.bisect_left(self._keys, prefix)
        last = bisect.bisect_left(self._keys, f"{prefix}\U0010ffff", first)
        return self._keys[first:last]


def open_store(server: ObjectStore, process: Process, kind: type[S3Store] = S3Store) -> S3Store:
    """A process's store: the shipped client, on a simulated connection."""
    waits = Patience(10.0, VirtualClock(process), Interrupt(), server.kernel.random)
    session, client = _Session(), S3Client(server, process)
    options: dict[str, Any] = {"waits": waits, "concurrency": 1}
    return kind("s3://simulated", connect=lambda *_: (session, client), hurry=lambda *_: client, **options)


_HEAD = {"ResponseMetadata": {"HTTPHeaders": {"content-length": "0"}}}


class S3Client:
    """What ``S3Store`` uses of boto3's. ``faulty`` is False for whoever only checks what is in the bucket."""

    def __init__(self, server: ObjectStore, process: Process, *, faulty: bool = True) -> None:
        self._server, self._process, self._faulty = server, process, faulty
        self._written = 0

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:
        def act() -> dict[str, Any]:
            if Key not in self._server.objects:
                raise _answer(404, "NoSuchKey")
            data, _, etag, metadata = self._server.objects[Key]
            return {"Body": _Body(data), "ETag": etag, "Metadata": metadata, **_HEAD}

        return self._send("GET", Key, act)

    def put_object(self, *, Key: str, Body: bytes, Metadata: dict[str, str], **conditions: str) -> dict[str, Any]:
        absent, match = "IfNoneMatch" in conditions, conditions.get("IfMatch")
        how = "PUT-IF-ABSENT" if absent else "PUT-IF-MATCH" if match else "PUT"

        def act() -> dict[str, Any]:
            return {"ETag": self._server.put(Key, Body, Metadata, absent=absent, match=match), **_HEAD}

        return self._send(how, Key, act)

    def upload_file(self, path: str, bucket: str, key: str, *, Config: Any, ExtraArgs: dict[str, Any]) -> None:
        self.put_object(Key=key, Body=Path(path).read_bytes(), **ExtraArgs)

    def head_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:
        return self.get_object(Bucket=Bucket, Key=Key)

    def list_objects_v2(self, *, Bucket: str, Prefix: str, Delimiter: str = "") -> dict[str, Any]:
        def act() -> dict[str, Any]:
            found = self._server.below(Prefix)
            if Delimiter:
                below = {key[: key.index("/", len(Prefix)) + 1] for key in found if "/" in key[len(Prefix) :]}
                return {"IsTruncated": False, "CommonPrefixes": [{"Prefix": each} for each in sorted(below)]}
            objects = self._server.objects
            return {"IsTruncated": False, "Contents": [objects[key][1] for key in found]}

        return self._send("LIST", Prefix, act)

    def delete_object(self, *, Bucket: str, Key: str, IfMatch: str | None = None) -> dict[str, Any]:
        """Ignores the condition, as many servers do."""

        def act() -> dict[str, Any]:
            self._server.remove(Key, self._process.name)
            return {**_HEAD}

        return self._send("DELETE", Key, act)

    def _send(self, method: str, key: str, act: Callable[[], _T]) -> _T:
        server, kernel, process = self._server, self._process.kernel, self._process
        if not self._faulty or not kernel.inside:
            return act()  # the invariants, or a helper thread that reads while its process waits
        kernel.check()
        server.requests += 1
        chance, faults = kernel.random, server.faults
        kernel.sleep(0.01 if chance.random() >= faults.slow else chance.uniform(1, 30))
        if faults.outages and any(begin <= kernel.time < end for begin, end in faults.outages):
            raise ConnectionClosedError(endpoint_url="http://simulated")
        if chance.random() < faults.error:
            raise _answer(503, "SlowDown")
        fate = ""
        if method not in ("GET", "LIST"):
            server.writes += 1
            self._written += 1
            fate = server.fate_of(process, self._written, key)
        if fate == "before":
            process.kill()
            raise Killed
        answer = self._act(method, key, act)
        if fate == "after":
            process.kill()
            raise Killed
        if fate == "lost" or chance.random() < faults.lost:
            kernel.log(process.name, f"the answer to {method} {readable(key)} is lost")
            raise ConnectionClosedError(endpoint_url="http://simulated")
        return answer

    def _act(self, method: str, key: str, act: Callable[[], _T]) -> _T:
        if method in ("GET", "LIST"):
            return act()
        kernel, name = self._process.kernel, self._process.name
        try:
            answer = act()
        except ClientError:
            kernel.log(name, f"{method} {readable(key)} -> 412")
            raise
        kernel.log(name, f"{method} {readable(key)}")
        return answer


class _Body(io.BytesIO):
    def iter_chunks(self, size: int) -> Iterator[bytes]:
        while chunk := self.read(size):
            yield chunk


class CarelessStore(S3Store):
    """A fault planted on purpose: a conditional write that was sent again is taken for a rival's."""

    def _put(self, key: str, data: bytes, condition: dict[str, Any]) -> str:
        request: dict[str, Any] = {"Key": key, "Body": data, "Metadata": {}, **condition}
        return self._call(key, lambda: str(self._link.client.put_object(Bucket="", **request)["ETag"]))


class _Session:
    def get_credentials(self) -> None:
        """There are none."""


def frozen_view(server: ObjectStore, name: str = "invariants") -> S3Store:
    """The bucket without faults and out of time, for whoever checks what is in it."""
    client = S3Client(server, Process(server.kernel, name), faulty=False)
    return S3Store("s3://simulated", connect=lambda *_: (_Session(), client), hurry=lambda *_: client, concurrency=1)


def readable(text: str) -> str:
    """Without what differs each time: the names of probes, and digests of what holds the number of a real process."""
    if "quarantine/" in text:
        text = re.sub(r"@[0-9a-f]+", "@…", text)
    return re.sub(r"[0-9a-f]{32}", "…", text) if "probes/" in text else text


def _answer(status: int, code: str) -> ClientError:
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "simulated")  # type: ignore[typeddict-item]


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(START + at, UTC)
