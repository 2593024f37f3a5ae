"""The wire: the paths the launcher uses, with the status codes, pages, watches and logs of an API server."""

from __future__ import annotations

import base64
import json
import re
import socket
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.apiserver.clients import describe, read_body
from tests.apiserver.schema import unknown_fields
from tests.apiserver.state import GLOBAL, KINDS, NAMESPACED, Object, Refused, State, now

_PATH = re.compile(
    r"/(?:api/v1|apis/(?P<group>[a-z0-9.-]+)/(?P<version>v\w+))"
    r"(?:/namespaces/(?P<namespace>[^/]+))?/(?P<resource>[a-z]+)(?:/(?P<name>[^/]+))?(?:/(?P<sub>[a-z]+))?"
)


_PATCHES = (
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)


@dataclass
class Fault:
    """One way to misbehave, for the next ``times`` requests that match.

    ``after`` faults strike when the request has been carried out: the answer is lost, the effect is not.
    ``status`` 0 breaks the connection.
    """

    method: str
    path: str
    status: int = 0
    times: int = 1
    after: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    message: str = "injected"


@dataclass(frozen=True)
class Request:
    """One request as the server saw it."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any
    at: float = field(default_factory=time.monotonic)


class ApiServer:
    """A running server. ``logs`` maps (pod, container) to a function of sinceTime, follow that yields bytes."""

    def __init__(self, state: State | None = None, *, token: str = "one", keep_requests: bool = True) -> None:
        self.state = state or State()
        self.tokens = {token}
        self.faults: list[Fault] = []
        self.requests: list[Request] = []
        self.crashes: list[str] = []
        """Tracebacks of faults of this server's own."""
        self.denied: set[tuple[str, str]] = set()
        self.bookmark_seconds = 0.5
        self.watch_limit = 0
        """End every watch after so many changes; 0 is never."""
        self.logs: dict[str, Callable[[str, bool, int | None], Any]] = {}
        self.kueue = False
        self.clock_skew = 0.0
        """How far this server's clock is ahead of everybody's."""
        self.advanced = 0.0
        """How far everybody's clock is ahead of the real one."""
        self._keep = keep_requests
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._sockets: set[socket.socket] = set()
        self._http = _start(self, 0)
        self.port = self._http.server_address[1]
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def kubeconfig(self, folder: Path, namespace: str) -> Path:
        """Write a kubeconfig for it."""
        path = folder / "kubeconfig.json"
        path.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "test",
                    "clusters": [{"name": "test", "cluster": {"server": self.url}}],
                    "users": [{"name": "test", "user": {"token": next(iter(self.tokens))}}],
                    "contexts": [
                        {"name": "test", "context": {"cluster": "test", "user": "test", "namespace": namespace}}
                    ],
                }
            )
        )
        return path

    def fail(self, method: str, path: str, status: int = 0, **options: Any) -> None:
        """Arrange for a fault."""
        with self._lock:
            self.faults.append(Fault(method, path, status, **options))

    def drop_connections(self) -> None:
        """Break every open connection, watches included."""
        with self._lock:
            sockets, self._sockets = self._sockets, set()
        for each in sockets:
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def stop(self) -> None:
        """Stop listening and break every connection; ``start`` brings it back with the same objects."""
        self._stopping.set()
        with self.state.changed:
            self.state.changed.notify_all()
        self._http.shutdown()
        self._http.server_close()
        self.drop_connections()
        self._thread.join()

    def start(self) -> None:
        """Listen again on the same port."""
        self._stopping = threading.Event()
        self._http = _start(self, self.port)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def seen(self, method: str, pattern: str, **query: str) -> list[Request]:
        """The requests so far whose path matches a pattern and that carry these query parameters."""
        with self._lock:
            return [
                r
                for r in self.requests
                if r.method == method
                and re.search(pattern, r.path)
                and all(r.query.get(k) == v for k, v in query.items())
            ]

    def _take_fault(self, method: str, path: str, *, after: bool) -> Fault | None:
        with self._lock:
            for fault in self.faults:
                if fault.method == method and fault.after == after and re.search(fault.path, path):
                    fault.times -= 1
                    if fault.times <= 0:
                        self.faults.remove(fault)
                    return fault
        return None


def _start(server: ApiServer, port: int) -> ThreadingHTTPServer:
    handler = type("Handler", (_Handler,), {"server_state": server})
    return _Quiet(("127.0.0.1", port), handler)


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no news."""


class _Handler(BaseHTTPRequestHandler):
    server_state: ApiServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def setup(self) -> None:
        super().setup()
        with self.server_state._lock:
            self.server_state._sockets.add(self.connection)

    def finish(self) -> None:
        with self.server_state._lock:
            self.server_state._sockets.discard(self.connection)
        super().finish()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def date_time_string(self, timestamp: float | None = None) -> str:
        return super().date_time_string(
            (timestamp or time.time()) + self.server_state.clock_skew + self.server_state.advanced
        )

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def do_PUT(self) -> None:
        self._serve("PUT")

    def do_PATCH(self) -> None:
        self._serve("PATCH")

    def do_DELETE(self) -> None:
        self._serve("DELETE")

    def _serve(self, method: str) -> None:
        split = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length) if length else b""
        body = None if not raw or (method == "DELETE" and raw[:1] != b"{") else read_body(raw)
        query = {key: values[-1] for key, values in parse_qs(split.query).items()}
        server = self.server_state
        if server._keep:
            with server._lock:
                server.requests.append(Request(method, split.path, query, dict(self.headers), body))
        try:
            if self.headers.get("Authorization", "").removeprefix("Bearer ") not in server.tokens:
                raise Refused(401, "Unauthorized", "Unauthorized")
            if self._misbehave(method, split.path, after=False):
                return
            answer, code = self._route(method, split.path, query, body)
            if answer is None or self._misbehave(method, split.path, after=True):
                return
            self._answer(code, answer)
        except Refused as refused:
            self._refuse(refused)
        except (OSError, ValueError) as error:
            self.close_connection = True
            if not isinstance(error, ConnectionError) and self.connection.fileno() != -1:
                server.crashes.append(traceback.format_exc())
        except Exception:
            server.crashes.append(traceback.format_exc())
            self._refuse(Refused(500, "InternalError", "the test's API server crashed"))

    def _misbehave(self, method: str, path: str, *, after: bool) -> bool:
        fault = self.server_state._take_fault(method, path, after=after)
        if fault is None:
            return False
        if fault.status == 0:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        else:
            reason = {403: "Forbidden", 429: "TooManyRequests", 500: "InternalError", 410: "Expired"}.get(
                fault.status, ""
            )
            self._refuse(Refused(fault.status, reason, fault.message), fault.headers)
        return True

    def _route(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[Object | None, int]:
        server = self.server_state
        if method == "GET" and path == "/version":
            return {"major": "1", "minor": "36", "gitVersion": "v1.36.0"}, 200
        if path.endswith("/selfsubjectaccessreviews"):
            wanted = body["spec"]["resourceAttributes"]
            target = "/".join(filter(None, (wanted["resource"], wanted.get("subresource"))))
            return {**body, "status": {"allowed": (wanted["verb"], target) not in server.denied}}, 201
        if path.endswith("/selfsubjectreviews"):
            return {**body, "status": {"userInfo": {"username": "system:serviceaccount:test:launcher"}}}, 201
        if method == "GET" and path == "/apis/kueue.x-k8s.io" and server.kueue:
            return {"kind": "APIGroup", "preferredVersion": {"version": "v1beta1"}}, 200
        if method == "GET" and (described := describe(path)) is not None:
            return described, 200
        match = _PATH.fullmatch(path)
        if match is None or ((match["group"] or "").startswith("kueue") and not server.kueue):
            raise Refused(404, "NotFound", "the server could not find the requested resource")
        resource, namespace, name, sub = match["resource"], match["namespace"] or "", match["name"], match["sub"]
        if resource in GLOBAL:
            namespace = ""
        if resource is None and namespace:
            resource, namespace, name = "namespaces", "", namespace
        name = unquote(name) if name else ""
        if resource not in KINDS or (resource in NAMESPACED and not namespace and (name or method != "GET")):
            raise Refused(404, "NotFound", "the server could not find the requested resource")
        self._authorize(method, resource, name, sub)
        if method == "POST" and sub == "eviction":
            evict(server.state, namespace, name)
            return {"kind": "Status", "apiVersion": "v1", "status": "Success"}, 201
        if method == "POST":
            return self._as_accepted(self._create(resource, namespace, query, body)), 201
        if method == "PATCH":
            if self.headers["Content-Type"] not in _PATCHES:
                raise Refused(415, "UnsupportedMediaType", f"only {', '.join(_PATCHES)} here")
            if "apply-patch" in self.headers["Content-Type"] and server.state.find(resource, namespace, name) is None:
                return self._create(resource, namespace, query, body), 201
            return server.state.patch(resource, namespace, name, body, status=sub == "status"), 200
        if method == "PUT":
            return server.state.replace(resource, namespace, name, body), 200
        if method == "DELETE":
            server.state.delete(resource, namespace, name, body)
            return {"kind": "Status", "apiVersion": "v1", "status": "Success"}, 200
        if sub == "log":
            self._log(namespace, name, query)
            return None, 200
        if name:
            return self._as_accepted(server.state.get(resource, namespace, name)), 200
        if query.get("watch") in ("true", "1"):
            self._watch(resource, namespace, query)
            return None, 200
        return self._list(resource, namespace, query), 200

    def _as_accepted(self, item: Object) -> Object:
        """The object, or its metadata alone where that is all that the client accepts."""
        if "PartialObjectMetadata" not in self.headers.get("Accept", ""):
            return item
        return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": item["metadata"]}

    def _authorize(self, method: str, resource: str, name: str, sub: str | None) -> None:
        verb = {"POST": "create", "PATCH": "patch", "DELETE": "delete"}.get(method) or ("get" if name else "list")
        target = f"{resource}/{sub}" if sub and sub != "status" else resource
        if (verb, target) in self.server_state.denied:
            raise Refused(403, "Forbidden", f'{target} is forbidden: User "test" cannot {verb} resource "{target}"')

    def _create(self, resource: str, namespace: str, query: dict[str, str], body: Object) -> Object:
        if query.get("fieldValidation") == "Strict" and (unknown := unknown_fields(resource, body)):
            listed = ", ".join(f'unknown field "{path}"' for path in unknown)
            raise Refused(400, "BadRequest", f"{body['kind']} in version: strict decoding error: {listed}")
        if resource == "jobs" and "spec" not in body:  # kubectl create job --from
            body = {
                **body,
                "spec": self.server_state.state.items("cronjobs", namespace)[0]["spec"]["jobTemplate"]["spec"],
            }
        return self.server_state.state.create(resource, namespace, body, dry_run=query.get("dryRun") == "All")

    def _list(self, resource: str, namespace: str, query: dict[str, str]) -> Object:
        state = self.server_state.state
        with state.changed:
            version, after = state.version, ""
            if token := query.get("continue"):
                at, _, after = base64.b64decode(token).decode().partition(" ")
                version = int(at)
                if version < state.compacted:
                    raise Refused(410, "Expired", "The provided continue parameter is too old")
            found = [
                item
                for item in state.items(resource, namespace)
                if item["metadata"]["name"] > after and selected(item, query)
            ]
        limit = int(query.get("limit") or 0) or len(found)
        meta: Object = {"resourceVersion": str(version)}
        if len(found) > limit:
            last = found[limit - 1]["metadata"]["name"]
            meta["continue"] = base64.b64encode(f"{version} {last}".encode()).decode()
            meta["remainingItemCount"] = len(found) - limit
        api_version, kind = KINDS[resource]
        items = [{k: v for k, v in item.items() if k not in ("kind", "apiVersion")} for item in found[:limit]]
        return {"kind": f"{kind}List", "apiVersion": api_version, "metadata": meta, "items": items}

    def _watch(self, resource: str, namespace: str, query: dict[str, str]) -> None:
        server, state = self.server_state, self.server_state.state
        stopping = server._stopping
        end = time.monotonic() + float(query.get("timeoutSeconds") or 300)
        bookmark = time.monotonic() + server.bookmark_seconds
        sent = 0
        self._begin_chunks("application/json")
        version = int(query.get("resourceVersion") or 0) or self._send_all(resource, namespace, query)
        while time.monotonic() < end and not stopping.is_set():
            try:
                with state.changed:
                    changes = state.changes(resource, version)
                    if not changes:
                        state.changed.wait(0.1)
            except Refused as refused:
                self._chunk({"type": "ERROR", "object": _status(refused)})
                break
            for version, kind, item in changes:  # noqa: B007
                if namespace in ("", item["metadata"].get("namespace", "")) and selected(item, query):
                    self._chunk({"type": kind, "object": item})
                    sent += 1
            if changes:
                self.wfile.flush()
            if server.watch_limit and sent >= server.watch_limit:
                break
            if query.get("allowWatchBookmarks") == "true" and time.monotonic() > bookmark:
                api_version, name = KINDS[resource]
                mark = {"kind": name, "apiVersion": api_version, "metadata": {"resourceVersion": str(version)}}
                self._chunk({"type": "BOOKMARK", "object": mark})
                self.wfile.flush()
                bookmark = time.monotonic() + server.bookmark_seconds
        self.wfile.write(b"0\r\n\r\n")

    def _send_all(self, resource: str, namespace: str, query: dict[str, str]) -> int:
        """What a watch from nowhere begins with: each object that is there, and a bookmark for who wants one."""
        state = self.server_state.state
        with state.changed:
            found, version = [each for each in state.items(resource, namespace) if selected(each, query)], state.version
        for item in found:
            self._chunk({"type": "ADDED", "object": item})
        if query.get("sendInitialEvents") == "true":
            api_version, name = KINDS[resource]
            meta = {"resourceVersion": str(version), "annotations": {"k8s.io/initial-events-end": "true"}}
            self._chunk({"type": "BOOKMARK", "object": {"kind": name, "apiVersion": api_version, "metadata": meta}})
        self.wfile.flush()
        return version

    def _log(self, namespace: str, name: str, query: dict[str, str]) -> None:
        pod = self.server_state.state.get("pods", namespace, name)
        source = self.server_state.logs.get(name)
        if source is None:
            waiting = (pod["status"].get("containerStatuses") or [{}])[0].get("state", {}).get("waiting", {})
            why = waiting.get("reason", "ContainerCreating")
            raise Refused(
                400, "BadRequest", f'container "{query["container"]}" in pod "{name}" is waiting to start: {why}'
            )
        tail = int(query["tailLines"]) if "tailLines" in query else None
        self._begin_chunks("text/plain")
        for chunk in source(query.get("sinceTime", ""), query.get("follow") == "true", tail):
            if chunk is None:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def _begin_chunks(self, content_type: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()

    def _chunk(self, value: Object) -> None:
        data = json.dumps(value).encode() + b"\n"
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def _refuse(self, refused: Refused, headers: dict[str, str] | None = None) -> None:
        self._answer(refused.code, _status(refused), headers)

    def _answer(self, code: int, value: Object, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for key, text in (headers or {}).items():
            self.send_header(key, text)
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()


def evict(state: State, namespace: str, name: str) -> None:
    """What the Eviction API does to a Pod that no budget protects: the condition, then the deletion."""
    with state.changed:
        pod = state.get("pods", namespace, name)
        said = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI", "message": "evicting"}
        conditions = [*pod["status"].get("conditions", []), {**said, "lastTransitionTime": now()}]
        state.patch("pods", namespace, name, {"status": {"conditions": conditions}}, status=True)
        state.delete("pods", namespace, name)


def selected(item: Object, query: dict[str, str]) -> bool:
    """Whether an object is meant by the query's selectors: equality, and a label's key alone."""
    labels = item["metadata"].get("labels", {})
    for part in filter(None, query.get("labelSelector", "").split(",")):
        key, equals, value = part.partition("=")
        if key not in labels or (equals and labels[key] != value.lstrip("=")):
            return False
    for part in filter(None, query.get("fieldSelector", "").split(",")):
        path, _, value = part.partition("=")
        found: Any = item
        for step in path.split("."):
            found = found.get(step, "") if isinstance(found, dict) else ""
        if found != value:
            return False
    return True


def _status(refused: Refused) -> Object:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": refused.message,
        "reason": refused.reason,
        "details": refused.details,
        "code": refused.code,
    }
