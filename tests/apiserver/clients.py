"""What helm and kubectl ask of an API server beside objects: discovery, OpenAPI, and bodies in YAML or protobuf."""

from __future__ import annotations

import base64
from typing import Any

import yaml

from tests.apiserver.state import KINDS, NAMESPACED, Object

VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]
SERVED = {name: kind for name, kind in KINDS.items() if not kind[0].startswith("kueue")}


def describe(path: str) -> Object | None:
    """The answer to a question about the API itself; None for any other path."""
    groups = {api_version for api_version, _ in SERVED.values()}
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        named = [
            (group.split("/")[0], {"groupVersion": group, "version": group.split("/")[1]})
            for group in sorted(groups - {"v1"})
        ]
        found = [{"name": name, "versions": [version], "preferredVersion": version} for name, version in named]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": found}
    if path.startswith("/openapi/v3"):
        return _openapi(path.removeprefix("/openapi/v3"), groups)
    group = path.removeprefix("/apis/").removeprefix("/api/")
    return _resources(group) if group in groups else None


def _resources(group: str) -> Object:
    resources = [
        {"name": name, "singularName": kind.lower(), "kind": kind, "namespaced": name in NAMESPACED, "verbs": VERBS}
        for name, (api_version, kind) in SERVED.items()
        if api_version == group
    ]
    if group == "v1":
        resources.append({"name": "pods/log", "singularName": "", "kind": "Pod", "namespaced": True, "verbs": ["get"]})
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group, "resources": resources}


def _openapi(path: str, groups: set[str]) -> Object:
    """Enough for clients to learn that the server checks fields itself."""
    if not path:
        roots = [("api/" if group == "v1" else "apis/") + group for group in groups]
        return {"paths": {root: {"serverRelativeURL": f"/openapi/v3/{root}"} for root in roots}}
    api_version = path.removeprefix("/apis/").removeprefix("/api/")
    group, _, version = api_version.rpartition("/")
    paths = {
        f"/{name}": {
            "patch": {
                "parameters": [{"name": each, "in": "query"} for each in ("fieldValidation", "dryRun")],
                "x-kubernetes-group-version-kind": {"group": group, "version": version, "kind": kind},
                "responses": {},
            }
        }
        for name, (of, kind) in SERVED.items()
        if of == api_version
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
