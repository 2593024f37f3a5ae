"""A small API server for the real helm and kubectl: it keeps what they write and answers what they ask.

It checks nothing and runs nothing: a Pod has succeeded as soon as it is there. The launcher's own fake, which is honest
about conflicts and watches, is ``tests.apiserver``; this one speaks discovery, tables apart, to other people's clients.
"""

from __future__ import annotations

import base64
import copy
import itertools
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

Object = dict[str, Any]

GROUPS: dict[str, dict[str, tuple[str, bool]]] = {
    "v1": {
        "namespaces": ("Namespace", False),
        "nodes": ("Node", False),
        "pods": ("Pod", True),
        "services": ("Service", True),
        "secrets": ("Secret", True),
        "configmaps": ("ConfigMap", True),
        "serviceaccounts": ("ServiceAccount", True),
        "resourcequotas": ("ResourceQuota", True),
        "events": ("Event", True),
    },
    "batch/v1": {"jobs": ("Job", True), "cronjobs": ("CronJob", True)},
    "apps/v1": {"deployments": ("Deployment", True), "replicasets": ("ReplicaSet", True)},
    "rbac.authorization.k8s.io/v1": {"roles": ("Role", True), "rolebindings": ("RoleBinding", True)},
}
_PATH = re.compile(
    r"/(?:api/(?P<core>v1)|apis/(?P<group>[^/]+/v\d))(?:/namespaces/(?P<namespace>[^/]+))?"
    r"(?:/(?P<resource>[a-z]+)(?:/(?P<name>[^/]+)(?:/(?P<sub>[a-z]+))?)?)?"
)


@dataclass
class Api:
    """A running server, with what it holds by (group, resource, namespace, name) and each request's method and URL."""

    objects: dict[tuple[str, str, str, str], Object] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._versions = itertools.count(1)
        self.lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"api": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop listening."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def kubeconfig(self, folder: Path) -> Path:
        """Write a kubeconfig for it."""
        server = f"http://127.0.0.1:{self._http.server_address[1]}"
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": server}}],
            "users": [{"name": "test", "user": {}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        }
        path = folder / "kubeconfig.json"
        path.write_text(json.dumps(config))
        return path

    def find(self, resource: str, name: str) -> Object | None:
        """An object by resource and name, whatever its group and namespace."""
        return next((o for (_, r, _, n), o in self.objects.items() if (r, n) == (resource, name)), None)

    def keep(self, group: str, resource: str, namespace: str, thing: Object) -> Object:
        """Store an object with what an API server adds."""
        kind = GROUPS[group][resource][0]
        version = str(next(self._versions))
        meta = thing["metadata"]
        meta.update(resourceVersion=version, creationTimestamp="2026-11-25T13:00:00Z")
        meta.setdefault("uid", f"uid-{version}")
        if namespace:
            meta["namespace"] = namespace
        if kind == "Pod":
            ready = {"type": "Ready", "status": "False", "reason": "PodCompleted"}
            ended = {"terminated": {"exitCode": 0, "reason": "Completed"}}
            name = thing["spec"]["containers"][0]["name"]
            thing["status"] = {
                "phase": "Succeeded",
                "conditions": [ready],
                "containerStatuses": [{"name": name, "state": ended, "ready": False, "restartCount": 0}],
            }
        self.objects[group, resource, namespace, meta["name"]] = {**thing, "apiVersion": group, "kind": kind}
        if kind == "Job":
            self._run(namespace, thing)
        return self.objects[group, resource, namespace, meta["name"]]

    def _run(self, namespace: str, job: Object) -> None:
        labels = {"batch.kubernetes.io/job-name": job["metadata"]["name"]}
        job["spec"].setdefault("selector", {"matchLabels": labels})
        template = copy.deepcopy(job["spec"]["template"])
        template["metadata"] = {
            "name": f"{job['metadata']['name']}-x",
            "labels": {**template.get("metadata", {}).get("labels", {}), **labels},
        }
        self.keep("v1", "pods", namespace, template)


class _Handler(BaseHTTPRequestHandler):
    api: Api
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

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
        query = {key: values[-1] for key, values in parse_qs(split.query).items()}
        length = int(self.headers.get("Content-Length") or 0)
        data = self.rfile.read(length)
        body = read_body(data) if data and method != "DELETE" else None
        with self.api.lock:
            self.api.requests.append((method, self.path))
            code, answer = self._route(method, split.path, query, body)
        data = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
        is_log = split.path.endswith("/log")
        try:
            self.send_response(code)
            self.send_header("Content-Type", "text/plain" if is_log else "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
        except ConnectionError:
            self.close_connection = True  # a client that has seen enough

    def _route(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        if path == "/version":
            return 200, {"major": "1", "minor": "36", "gitVersion": "v1.36.0"}
        if path == "/api":
            return 200, {"kind": "APIVersions", "versions": ["v1"]}
        if path == "/apis":
            named = [(group.split("/")[0], group) for group in GROUPS if "/" in group]
            groups = [
                {"name": name, "versions": [version], "preferredVersion": version}
                for name, group in named
                for version in [{"groupVersion": group, "version": group.split("/")[1]}]
            ]
            return 200, {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
        if path.startswith("/openapi/v3"):
            return 200, _openapi(path.removeprefix("/openapi/v3"))
        match = _PATH.fullmatch(path)
        group = (match["core"] or match["group"]) if match else ""
        if match is None or group not in GROUPS:
            return _missing(path)
        resource, namespace, name = match["resource"], match["namespace"] or "", match["name"]
        if resource is None and namespace:
            resource, namespace, name = "namespaces", "", namespace
        if resource is None:
            return 200, _discovery(group)
        if resource not in GROUPS[group]:
            return _missing(path)
        if match["sub"] == "log":
            return 200, "one line\n"
        if not GROUPS[group][resource][1]:
            namespace = ""
        key = (group, resource, namespace, name or "")
        found = self.api.objects.get(key)
        if method == "POST":
            if resource == "jobs" and "spec" not in body:
                source = next(thing for (_, r, _, _), thing in self.api.objects.items() if r == "cronjobs")
                body["spec"] = copy.deepcopy(source["spec"]["jobTemplate"]["spec"])
            if (group, resource, namespace, body["metadata"]["name"]) in self.api.objects:
                return 409, _status(409, "AlreadyExists", path)
            return 201, self.api.keep(group, resource, namespace, body)
        if method == "GET" and name is None:
            return 200, self._list(group, resource, namespace, query)
        if method == "PATCH" and found is None and "apply" in self.headers["Content-Type"]:
            return 201, self.api.keep(group, resource, namespace, body)
        if found is None:
            return _missing(path)
        if method in ("PUT", "PATCH"):
            return 200, self.api.keep(group, resource, namespace, body if method == "PUT" else _merge(found, body))
        if method == "DELETE":
            del self.api.objects[key]
        return 200, found

    def _list(self, group: str, resource: str, namespace: str, query: dict[str, str]) -> Object | str:
        if "watch" in query:
            return ""  # a watch that ends at once without news
        wanted = [part.partition("=")[::2] for part in query.get("labelSelector", "").split(",") if part]
        wanted += [
            ("", value) for key, _, value in [query.get("fieldSelector", "").partition("=")] if key == "metadata.name"
        ]
        items = [
            thing
            for (g, r, n, name), thing in self.api.objects.items()
            if (g, r) == (group, resource) and n == (namespace or n) and all(_has(thing, name, *w) for w in wanted)
        ]
        kind = GROUPS[group][resource][0]
        return {"kind": f"{kind}List", "apiVersion": group, "metadata": {"resourceVersion": "1"}, "items": items}


def _has(thing: Object, name: str, key: str, value: str) -> bool:
    if not key:
        return name == value
    labels = thing["metadata"].get("labels") or {}
    return key in labels and value.lstrip("=") in ("", labels[key])


def _merge(old: Any, new: Any) -> Any:
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return new
    merged = {key: _merge(old[key], value) if key in old else value for key, value in new.items() if value is not None}
    return {**{key: value for key, value in old.items() if key not in new}, **merged}


def _discovery(group: str) -> Object:
    verbs = ["create", "delete", "get", "list", "patch", "update", "watch"]
    resources = [
        {"name": name, "singularName": kind.lower(), "kind": kind, "namespaced": namespaced, "verbs": verbs}
        for name, (kind, namespaced) in GROUPS[group].items()
    ]
    if group == "v1":
        resources.append({"name": "pods/log", "singularName": "", "kind": "Pod", "namespaced": True, "verbs": ["get"]})
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group, "resources": resources}


def _openapi(path: str) -> Object:
    """Enough for clients to learn that the server checks fields itself."""
    if not path:
        roots = {group: ("api/" if group == "v1" else "apis/") + group for group in GROUPS}
        return {"paths": {root: {"serverRelativeURL": f"/openapi/v3/{root}"} for root in roots.values()}}
    group, _, version = path.removeprefix("/apis/").removeprefix("/api/").rpartition("/")
    paths = {}
    for name, (kind, _) in GROUPS[f"{group}/{version}" if group else version].items():
        paths[f"/{name}"] = {
            "patch": {
                "parameters": [{"name": name, "in": "query"} for name in ("fieldValidation", "dryRun")],
                "x-kubernetes-group-version-kind": {"group": group, "version": version, "kind": kind},
                "responses": {},
            }
        }
    return {"openapi": "3.0.0", "info": {"title": "", "version": ""}, "paths": paths}


def read_body(data: bytes) -> Any:
    """JSON or YAML; of protobuf, which clients write what they make themselves in, name, labels and a Secret's data."""
    if not data.startswith(b"k8s\0"):
        return yaml.safe_load(data)
    message = dict(_fields(data[4:]))[2]
    metadata = _fields(dict(_fields(message))[1])
    thing: Object = {"metadata": {"name": dict(metadata)[1].decode(), "labels": {}}}
    for key, value in _entries(metadata, 11):
        thing["metadata"]["labels"][key] = value.decode()
    if content := _entries(_fields(message), 2):
        thing["data"] = {key: base64.b64encode(value).decode() for key, value in content}
    return thing


def _entries(fields: list[tuple[int, bytes]], wanted: int) -> list[tuple[str, bytes]]:
    """The entries of a protobuf map; nothing where the field is another message."""
    found = [dict(_fields(value)) for number, value in fields if number == wanted]
    return [(entry[1].decode(), entry.get(2, b"")) for entry in found if entry.keys() <= {1, 2} and 1 in entry]


def _fields(message: bytes) -> list[tuple[int, bytes]]:
    """The length-delimited fields of a protobuf message, by number; others are left out."""
    found, at = [], 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(message):
        number, wire = divmod(varint(), 8)
        size = varint()
        if wire == 2:
            found.append((number, message[at : at + size]))
            at += size
    return found


def _missing(path: str) -> tuple[int, Object]:
    return 404, _status(404, "NotFound", path)


def _status(code: int, reason: str, path: str) -> Object:
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code}
    return {**status, "message": f"{path}: {reason}", "metadata": {}, "details": {}}
