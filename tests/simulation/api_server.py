"""An API server with its storage, watches and faults, spoken to by the launcher's own client."""

from __future__ import annotations

import bisect
import json
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from functools import lru_cache
from operator import itemgetter
from typing import Any
from urllib.parse import parse_qs, unquote

import urllib3
from pydantic_core import from_json, to_json

from tests.simulation.kernel import START, Kernel, Process

Object = dict[str, Any]
RESOURCES = ("jobs", "pods", "configmaps", "events")
KINDS = {"jobs": "Job", "pods": "Pod", "configmaps": "ConfigMap", "events": "Event"}


@dataclass
class ApiFaults:
    """Chances for each request, and spans of time in which nothing is answered."""

    error: float = 0.0
    busy: float = 0.0
    lost: float = 0.0
    drop: float = 0.0
    """That a watch breaks at an event."""
    gone: float = 0.0
    """That a watch that is opened again is too old."""
    quota: float = 0.0
    outages: list[tuple[float, float]] = field(default_factory=list)


class Refused(Exception):
    """A Status that is no success."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code, self.reason = code, reason


class ApiServer:
    """Objects of one namespace. ``changed`` is called after each write."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.faults = ApiFaults()
        self.skew = 0.0
        self.version = 1000
        self.requests = 0
        self.objects: dict[str, dict[str, Object]] = {resource: {} for resource in RESOURCES}
        self.changed: Callable[[str, str, Object], None] = lambda resource, kind, item: None
        self.on_request: Callable[[Process, str, str, Any], None] = lambda process, method, path, body: None
        """Told of every request that has an effect, before it has."""
        self._history: dict[str, list[tuple[int, str, Object]]] = {resource: [] for resource in RESOURCES}
        self._encoded: dict[str, bytes] = {}
        """Each version of an object as it travels: the same to all who read it."""
        self._waiters: dict[str, deque[Any]] = {resource: deque() for resource in RESOURCES}
        self._uids = 0
        self._dependents: dict[str, dict[tuple[str, str], None]] = {}
        """By the uid of an owner: resource and name of what goes with it."""

    def now(self) -> str:
        """The server's time in RFC 3339, whole seconds."""
        return _stamp(int(START + self.kernel.time + self.skew))

    def encode(self, item: Object) -> bytes:
        """An object as it travels. Versions never change: whatever writes makes another object of it."""
        version = item["metadata"]["resourceVersion"]
        if (found := self._encoded.get(version)) is None:
            found = self._encoded[version] = to_json(item)
        return found

    def create(self, resource: str, body: Object) -> Object:
        """As POST does. Raises Refused."""
        name = body["metadata"]["name"]
        if name in self.objects[resource]:
            raise Refused(409, "AlreadyExists", f'{resource} "{name}" already exists')
        self._uids += 1
        metadata = {**body["metadata"], "uid": f"uid-{self._uids}", "creationTimestamp": self.now()}
        item: Object = {"status": {}, **body, "metadata": metadata}
        for owner in metadata.get("ownerReferences", ()):
            self._dependents.setdefault(owner["uid"], {})[resource, name] = None
        self._write(resource, "ADDED", item)
        return item

    def find(self, resource: str, name: str) -> Object | None:
        """An object, or None."""
        return self.objects[resource].get(name)

    def update(self, resource: str, name: str, **parts: Object) -> Object:
        """Merge into ``metadata``, ``spec`` or ``status`` of an object."""
        item = self.objects[resource][name]
        new = {**item, **{part: {**item.get(part, {}), **change} for part, change in parts.items()}}
        new["metadata"] = dict(new["metadata"])
        self._write(resource, "MODIFIED", new)
        return new

    def remove(self, resource: str, name: str) -> None:
        """An object is gone, and with it what it owns."""
        item = self.objects[resource].pop(name)
        item = {**item, "metadata": dict(item["metadata"])}
        self._write(resource, "DELETED", item)
        for owner in item["metadata"].get("ownerReferences", ()):
            self._dependents.get(owner["uid"], {}).pop((resource, name), None)
        for kind, dependent in list(self._dependents.pop(item["metadata"]["uid"], ())):
            self.remove(kind, dependent)

    def pods_of(self, uid: str) -> list[Object]:
        """The Pods of a Job."""
        return [self.objects[kind][name] for kind, name in self._dependents.get(uid, ())]

    def _write(self, resource: str, kind: str, item: Object) -> None:
        self.version += 1
        item["metadata"]["resourceVersion"] = str(self.version)
        if kind != "DELETED":
            self.objects[resource][item["metadata"]["name"]] = item
        self._history[resource].append((self.version, kind, item))
        while self.kernel.call(self._waiters[resource]):
            pass
        self.changed(resource, kind, item)

    # requests

    def handle(self, process: Process, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, bytes]:
        """Carry out a request. Raises Refused."""
        parts = path.split("/namespaces/sim/")[1].split("/")
        resource, name = parts[0], unquote(parts[1]) if len(parts) > 1 else ""
        if method == "GET" and not name:
            return 200, self._list(resource, query)
        if method != "GET":
            self.on_request(process, method, path, body)
        if method == "POST":
            if resource == "jobs" and self.kernel.random.random() < self.faults.quota:
                raise Refused(403, "Forbidden", 'jobs "x" is forbidden: exceeded quota: jobs')
            return 201, self.encode(self.create(resource, body))
        item = self.find(resource, name)
        if item is None:
            raise Refused(404, "NotFound", f'{resource} "{name}" not found')
        if method == "GET":
            return 200, self.encode(item)
        if method == "PATCH":
            merged = _merge(item, body)
            merged["metadata"] = dict(merged["metadata"])
            self._write(resource, "MODIFIED", merged)
            return 200, self.encode(merged)
        wanted = body.get("preconditions", {}).get("resourceVersion")
        if wanted is not None and wanted != item["metadata"]["resourceVersion"]:
            raise Refused(409, "Conflict", "the object has been modified")
        self.remove(resource, name)
        return 200, b'{"kind":"Status","status":"Success"}'

    def _list(self, resource: str, query: dict[str, str]) -> bytes:
        label, objects = query.get("labelSelector", ""), self.objects[resource]
        selected = [self.encode(objects[name]) for name in sorted(objects) if _matches(objects[name], label)]
        head = f'{{"kind":"{KINDS[resource]}List","metadata":{{"resourceVersion":"{self.version}"}},"items":['
        return head.encode() + b",".join(selected) + b"]}"

    def watch(self, process: Process, resource: str, query: dict[str, str]) -> Iterator[bytes]:
        """Lines of a watch, as they come."""
        kernel, chance, faults = self.kernel, self.kernel.random, self.faults
        version, end = int(query["resourceVersion"]), kernel.time + float(query["timeoutSeconds"])
        history, label = self._history[resource], query.get("labelSelector", "")
        at = bisect.bisect_right(history, version, key=itemgetter(0))
        if at and chance.random() < faults.gone:
            status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
            yield json.dumps({"type": "ERROR", "object": status}).encode() + b"\n"
            return
        while kernel.time < end:
            if at == len(history):
                came = kernel.wait(self._waiters[resource], min(60.0, end - kernel.time))
                if not came:
                    mark = {"kind": KINDS[resource], "metadata": {"resourceVersion": str(self.version)}}
                    yield json.dumps({"type": "BOOKMARK", "object": mark}).encode() + b"\n"
                    continue
                kernel.sleep(chance.uniform(0.0, 0.2))
            if self.is_down() or chance.random() < faults.drop:
                kernel.log(process.name, f"the watch of {resource} breaks")
                raise urllib3.exceptions.ProtocolError("connection broken")
            new, at = history[at:], len(history)
            lines = [
                b'{"type":"%s","object":%s}\n' % (kind.encode(), self.encode(item))
                for _, kind, item in new
                if _matches(item, label)
            ]
            if lines:
                yield b"".join(lines)

    def is_down(self) -> bool:
        """Whether nothing is answered just now."""
        return any(begin <= self.kernel.time < end for begin, end in self.faults.outages)


class ApiConnection:
    """A process's connection, for ``launcher.kubernetes.api.client.Cluster``."""

    host = "https://simulated"

    def __init__(self, server: ApiServer, process: Process) -> None:
        self._server, self._process = server, process

    def credentials(self) -> dict[str, str]:
        return {}

    def close(self) -> None:
        """Nothing to close."""

    def request(self, method: str, url: str, *, body: bytes | None, headers: dict[str, str], read: float) -> Any:
        server, kernel, process = self._server, self._process.kernel, self._process
        chance, faults = kernel.random, server.faults
        kernel.check()
        server.requests += 1
        kernel.sleep(chance.uniform(0.005, 0.05))
        if server.is_down():
            raise urllib3.exceptions.ProtocolError("connection refused")
        if chance.random() < faults.error:
            return _Response(server, *_refusal(Refused(500, "InternalError", "etcdserver: request timed out")))
        if chance.random() < faults.busy:
            status, answer = _refusal(Refused(429, "TooManyRequests", "too many requests"))
            return _Response(server, status, answer, {"Retry-After": "1"})
        path, _, rest = url.partition("?")
        query = _parse_query(rest)
        if query.get("watch"):
            return _Response(server, 200, b"", stream=server.watch(process, path.split("/")[-1], query))
        sent = from_json(body, cache_strings="keys") if body else {}
        try:
            status, answer = server.handle(process, method, path, query, sent)
        except Refused as refused:
            status, answer = _refusal(refused)
        if method != "GET":
            name = sent.get("metadata", {}).get("name")
            where = "/".join(path.split("/")[6:]) + (f"/{name}" if name else "")
            kernel.log(process.name, f"{method} {where} -> {status}")
        if chance.random() < faults.lost:
            kernel.log(process.name, f"the answer to {method} {path.split('/')[-1]} is lost")
            raise urllib3.exceptions.ProtocolError("connection reset")
        return _Response(server, status, answer)


class _Response:
    """What the client uses of urllib3's."""

    def __init__(
        self,
        server: ApiServer,
        status: int,
        body: bytes,
        headers: dict[str, str] | None = None,
        stream: Iterator[bytes] | None = None,
    ) -> None:
        self.status, self._body, self._stream = status, body, stream
        self.headers = {"Date": _date(int(START + server.kernel.time + server.skew)), **(headers or {})}

    def read(self) -> bytes:
        return self._body

    def stream(self, amount: int, *, decode_content: bool) -> Iterator[bytes]:
        return self._stream or iter([self._body])

    def close(self) -> None:
        """Nothing to close."""

    def release_conn(self) -> None:
        """Nothing to release."""


def _refusal(refused: Refused) -> tuple[int, bytes]:
    status = {"kind": "Status", "message": str(refused), "reason": refused.reason, "code": refused.code}
    return refused.code, json.dumps(status).encode()


def _matches(item: Object, selector: str) -> bool:
    key, _, value = selector.partition("=")
    return not key or item["metadata"].get("labels", {}).get(key) == value


@lru_cache(1024)
def _parse_query(text: str) -> dict[str, str]:
    return {key: values[-1] for key, values in parse_qs(text).items()}


def _merge(item: Any, change: Any) -> Any:
    if not isinstance(change, dict):
        return change
    merged = dict(item) if isinstance(item, dict) else {}
    for key, value in change.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merge(merged.get(key), value)
    return merged


@lru_cache(8192)
def _stamp(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@lru_cache(8192)
def _date(at: int) -> str:
    return formatdate(at, usegmt=True)
